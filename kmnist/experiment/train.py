"""One run: build, fit, keep the best, evaluate on test once at the end, and tell a ``Run`` about all of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from kmnist.checkpoint import Checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.experiment.keeper import Keeper, epoch_metrics
from kmnist.experiment.results import Result, log_results
from kmnist.experiment.run import Run
from kmnist.experiment.splits import Splits, TuningSplits
from kmnist.models import build
from kmnist.training import Epoch, evaluate, fit, resolve_precision

OnEpoch: TypeAlias = Callable[[Epoch, Epoch], None]


@dataclass(frozen=True)
class Trained:
    """A network after its last epoch, not yet tested.

    Attributes:
        model: with the weights of the last epoch.
        best_weights: those of the best epoch.
        epochs: every epoch.
        best: the best epoch, chosen on the validation split.
        seconds: wall time from the first epoch to the last, of this process.
    """

    model: nn.Module
    best_weights: dict[str, Tensor]
    epochs: list[Epoch]
    best: Epoch
    seconds: float


def train(
    config: TrainConfig,
    splits: Splits,
    run: Run,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    resume: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda epoch, best: None,
) -> Result:
    """Train, write everything down, and evaluate on the test split once, after the last epoch.

    Args:
        config: the settings.
        splits: from :func:`prepare`, which has compared them with ``resume``; ``test`` is not looked at before the end.
        run: where to write to.
        folder: for the checkpoint, written after every epoch.
        device: where to compute.
        resume: go on after this checkpoint's last epoch; the numbers are those of a run that was never stopped.
        on_epoch: called with each epoch and the best so far; what it raises ends the training.

    Raises:
        CheckpointError: a checkpoint cannot be written.
        TrainingDiverged: the loss is no longer a number.
    """
    if resume is None:
        run.log_data("test", splits.test, splits.name, splits.source)
    trained = train_epochs(config, splits, run, folder, device=device, resume=resume, on_epoch=on_epoch)
    test_last, _ = evaluate(trained.model, splits.test, device)
    trained.model.load_state_dict(trained.best_weights)
    test, log_probabilities = evaluate(trained.model, splits.test, device)
    result = Result(trained.epochs, trained.best, test, test_last, trained.seconds)
    log_results(config, splits, splits.digests["train"], result, log_probabilities.numpy(), run)
    linked = {**epoch_metrics(result.best), "test/loss": test.loss, "test/accuracy": test.accuracy}
    run.log_model(trained.model, config, result.best.number, linked, result.best.timestamp_ms)
    return result


def train_epochs(
    config: TrainConfig,
    splits: TuningSplits,
    run: Run,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    resume: Checkpoint | None = None,
    on_epoch: OnEpoch = lambda epoch, best: None,
) -> Trained:
    """The part of :func:`train` that a search may do: it is given no test split. Arguments and errors are the same."""
    model = build(config, *_mean_and_std(splits.train))
    if resume is None:
        _log_start(config, splits, run, torch.device(device))
    else:
        model.load_state_dict(resume.model)
    started = time.perf_counter()
    with Keeper(config, run, folder, splits.digests, model, resume) as keeper:
        train_state = resume.train_state if resume else None
        if not keeper.should_stop:
            for epoch in fit(model, splits.train, splits.valid, config, device=device, resume=train_state):
                keeper.keep(epoch)
                on_epoch(epoch, keeper.best)
                if keeper.should_stop:
                    break
    return Trained(model, keeper.best_weights, keeper.epochs, keeper.best, time.perf_counter() - started)


def _log_start(config: TrainConfig, splits: TuningSplits, run: Run, device: torch.device) -> None:
    run.log_params(config.as_text())
    precision = resolve_precision(config.precision, device)
    run.log_tags({"dataset": splits.name, "device": str(device), "precision": precision})
    for context, images in (("train", splits.train), ("valid", splits.valid)):
        run.log_data(context, images, splits.name, splits.source)


def _mean_and_std(images: Images) -> tuple[float, float]:
    """Of the pixels on the scale 0..1, from their histogram: exact, and without a float copy of the images."""
    # Not numpy's bincount, which would first make 64-bit numbers of 42 million pixels.
    counts = torch.bincount(torch.from_numpy(images.pixels.reshape(-1)), minlength=256).numpy()
    values = np.arange(256) / 255
    mean = float(np.average(values, weights=counts))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=counts))) or 1.0
