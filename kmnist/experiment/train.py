"""One run: build, fit, keep the best, evaluate on test once at the end, and tell a ``Run`` about all of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from kmnist import record
from kmnist.calibration import UNCALIBRATED, Calibration
from kmnist.checkpoint import Checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.errors import SettingError
from kmnist.experiment.checkpointer import Checkpointer, epoch_metrics, split_metrics
from kmnist.experiment.results import Evaluated, Result, log_results
from kmnist.experiment.run import Run
from kmnist.experiment.splits import Splits
from kmnist.figures import confusion_matrix_image
from kmnist.metrics import confusion_matrix
from kmnist.metrics.calibrate import calibrate
from kmnist.models.build import build
from kmnist.models.normalise import normalisation
from kmnist.models.transfer import InitialWeights, freeze, load_initial, lower_rate
from kmnist.network import SavedNetwork
from kmnist.training.augmentation.augment import Augmentation
from kmnist.training.compute import Compute, measure_threads, resolve_device, resolve_precision, trial_step
from kmnist.training.evaluate import evaluate, to_device
from kmnist.training.fit import Epoch, fit

OnEpoch: TypeAlias = Callable[[Epoch, Epoch], None]


@dataclass(frozen=True)
class Trained:
    """A network after its last epoch, not yet tested.

    Attributes:
        model: the network; which weights it has is not said.
        compute: where and how it was trained.
        best_weights: those of the best epoch, as they are evaluated.
        last_weights: those of the last epoch.
        epochs: every epoch.
        best: the best epoch, chosen on the validation split.
        seconds: wall time from the first epoch to the last, of this process.
    """

    model: nn.Module
    compute: Compute
    best_weights: dict[str, Tensor]
    last_weights: dict[str, Tensor]
    epochs: list[Epoch]
    best: Epoch
    seconds: float


class TrainOptions(TypedDict, total=False):
    """The optional arguments of :func:`train_epochs`, which says what they mean."""

    device: str
    threads: int | None
    initial: InitialWeights | None
    resume: Checkpoint | None
    measure_load: Callable[[], dict[str, float]]
    on_epoch: OnEpoch
    diagnostics: bool


def train(
    config: TrainConfig,
    splits: Splits,
    test: Images,
    run: Run,
    folder: Path,
    **options: Unpack[TrainOptions],
) -> Result:
    """Train, write everything down, and evaluate on the test split once, after the last epoch.

    Args:
        config: the settings.
        splits: from :func:`prepare`, which has compared them with ``resume``.
        test: not looked at before the end.
        run: where to write to.
        folder: for the checkpoint, written after every epoch.
        options: those of :func:`train_epochs`.

    Raises:
        CheckpointError: a checkpoint cannot be written.
        TrainingDiverged: the loss is no longer a number.
    """
    if options.get("resume") is None:
        run.log_data(record.TEST, test, splits.spec, splits.source)
    trained = train_epochs(config, splits, run, folder, **options)
    with trained.compute.active():
        trained.model.load_state_dict(trained.last_weights)
        test_last, log_probabilities = evaluate(trained.model, test, trained.compute.device)
        tested = test_last
        if trained.best.number != trained.epochs[-1].number:
            trained.model.load_state_dict(trained.best_weights)
            tested, log_probabilities = evaluate(trained.model, test, trained.compute.device)
        calibration = _calibrate(trained, splits.valid)
    result = Result(trained.epochs, trained.best, tested, test_last, trained.seconds)
    if options.get("diagnostics", True):
        run.log_file((folder / record.LAYERS).read_bytes(), f"{record.REPORTS}/{record.LAYERS}")
    log_results(Evaluated(config, splits, test, result, log_probabilities.numpy(), calibration), run)
    linked = {**epoch_metrics(result.best), **split_metrics(record.TEST, tested)}
    best = result.best
    saved = SavedNetwork(trained.model, config, splits.spec, calibration)
    run.log_model(saved, best.number, linked, best.timestamp_ms)
    return result


def _calibrate(trained: Trained, valid: Images) -> Calibration:
    """From what was not trained on; where nothing was kept from it, the probabilities are left as they are."""
    if not len(valid):
        return UNCALIBRATED
    return calibrate(evaluate(trained.model, valid, trained.compute.device)[1].numpy(), valid)


def train_epochs(
    config: TrainConfig,
    splits: Splits,
    run: Run,
    folder: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    initial: InitialWeights | None = None,
    resume: Checkpoint | None = None,
    measure_load: Callable[[], dict[str, float]] = dict,
    on_epoch: OnEpoch = lambda epoch, best: None,
    diagnostics: bool = True,
) -> Trained:
    """The part of :func:`train` that a search may do: it is given no test split. The other arguments are the same.

    Args:
        config: the settings.
        splits: what to train on.
        run: where to write to.
        folder: for the checkpoint.
        device: where to compute.
        threads: to compute with on a CPU; ``None``: as many as are found to be fastest.
        initial: weights to begin with, where ``config.init_from`` names some.
        resume: go on after this checkpoint's last epoch, computing as it did; the numbers are those of a run that was
            never stopped.
        measure_load: gives the machine's load since it was called last, as metrics.
        on_epoch: called with each epoch and the best so far; what it raises ends the training.
        diagnostics: measure gradients, updates, dead units and calibration after each epoch; the training is the same
            without, bit for bit.

    Raises:
        CheckpointError: a checkpoint cannot be written.
        TrainingDiverged: the loss is no longer a number.
    """
    normalise = normalisation(config.normalise, *_mean_and_std(splits.train))
    model = build(config.net, splits.spec, seed=config.seed, normalise=normalise)
    kept = resume.kept if resume else load_initial(model, initial) if initial else []
    lower_rate(model, kept, config.kept_rate)
    freeze(model, config.freeze)
    if resume is None:
        compute = resolve_compute(config, model, splits.train, device, threads)
        _log_start(config, splits, run, compute, initial)
        _log_untrained(model, splits, run, compute)
    else:
        compute = resume.compute
        model.load_state_dict(resume.model)
    started = time.perf_counter()
    with Checkpointer(
        config, compute, splits, run, folder, model, kept, measure_load, resume, diagnostics
    ) as checkpointer:
        state = resume.train_state if resume else None
        if not checkpointer.should_stop:
            augmentation = Augmentation(config)
            epochs = fit(
                model,
                splits.train,
                splits.valid,
                config,
                compute,
                augmentation=augmentation,
                resume=state,
                weights=splits.weights,
            )
            for epoch in epochs:
                checkpointer.keep(epoch)
                on_epoch(epoch, checkpointer.best)
                if checkpointer.should_stop:
                    break
    seconds = time.perf_counter() - started
    return Trained(
        model=model,
        compute=compute,
        best_weights=checkpointer.best_weights,
        last_weights=checkpointer.last_weights,
        epochs=checkpointer.epochs,
        best=checkpointer.best,
        seconds=seconds,
    )


def resolve_compute(config: TrainConfig, model: nn.Module, images: Images, device: str, threads: int | None) -> Compute:
    """Where and how a run is going to compute, measured where it is not said."""
    on = torch.device(device)
    precision = resolve_precision(config.precision, on)
    if threads is None:
        first = images[np.arange(min(config.batch_size, len(images)))]
        threads = measure_threads(trial_step(model.to(on), *to_device(first, on), bf16=precision == "bf16"))
    return Compute(device, precision, threads)


def resumed_compute(checkpoint: Checkpoint, device: str, threads: int | None) -> Compute:
    """Where and how a run is gone on with: as before, but for what is said.

    Args:
        checkpoint: of the run.
        device: ``auto``: the one of before.
        threads: ``None``: as many as before.

    Raises:
        SettingError: the device does not exist on this machine.
    """
    before = checkpoint.compute
    try:
        on = resolve_device(before.device if device == "auto" else device)
    except SettingError as error:
        if device != "auto":
            raise
        raise SettingError(
            f"run {checkpoint.run_id} computed on {before.device}, which cannot be used on this machine; "
            "with --device cpu it goes on here, and the last digits of its numbers are others"
        ) from error
    same = on.type == torch.device(before.device).type
    precision = before.precision if same else resolve_precision(checkpoint.config.precision, on)
    return Compute(str(on), precision, threads or before.threads)


def _log_start(config: TrainConfig, splits: Splits, run: Run, compute: Compute, initial: InitialWeights | None) -> None:
    run.log_params(config.as_text())
    about = {record.DATASET: splits.spec.name, record.OFFICIAL: str(splits.spec.official).lower()}
    began = {record.INITIAL_DIGEST: initial.digest} if initial else {}
    run.log_tags({**about, **compute.as_tags(), **began})
    for split, images in ((record.TRAIN, splits.train), (record.VALID, splits.valid)):
        if len(images):
            run.log_data(split, images, splits.spec, splits.source)


def _log_untrained(model: nn.Module, splits: Splits, run: Run, compute: Compute) -> None:
    """Step 0 of the series of images: MLflow's slider stands there when it is opened, and would show nothing."""
    if len(splits.valid):
        with compute.active():
            answers = evaluate(model.to(compute.device), splits.valid, compute.device)[1].argmax(dim=1).numpy()
        matrix = confusion_matrix(splits.valid.labels, answers, len(splits.spec.classes))
        image = confusion_matrix_image(matrix, splits.spec)
        run.log_image(image, record.VALID_CONFUSION, 0, timestamp_ms=0)  # begun again, it is the same one


def _mean_and_std(images: Images) -> tuple[float, float]:
    """Of the pixels on the scale 0..1, from their histogram: exact, and without a float copy of the images."""
    # Not numpy's bincount, which would first make 64-bit numbers of 42 million pixels.
    counts = torch.bincount(torch.from_numpy(images.pixels.reshape(-1)), minlength=256).numpy()
    values = np.arange(256) / 255
    mean = float(np.average(values, weights=counts))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=counts))) or 1.0
