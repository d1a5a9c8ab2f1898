"""The training loop, as a generator: ``for epoch in fit(model, train, valid, settings): ...``

The caller owns the loop: it stops by ``break``, prunes by raising, tests by ``list(fit(...))``. The loop knows no
tracker, no tuner and no file, and it cannot see the test split.

The data stays on the device as uint8 and is indexed by a seeded permutation, after Keller Jordan's airbench
(https://github.com/KellerJordan/cifar10-airbench). All randomness of epoch k is a function of (seed, k): nothing but
weights and the state of the optimisation has to be kept to resume with the same numbers, bit for bit.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmnist.data.images import Images
from kmnist.errors import SettingError, TrainingDiverged
from kmnist.metrics import Counts, Metrics, confusion_matrix, score
from kmnist.models.transfer import set_training
from kmnist.training.augmentation.augment import Augmentation, mixed_loss
from kmnist.training.augmentation.parts import Mix
from kmnist.training.compute import Compute
from kmnist.training.evaluate import predict, to_device
from kmnist.training.optimisation import Optimisation
from kmnist.training.settings import FitSettings

AUGMENTATION = 1  # what its random numbers are drawn for
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainState:
    """With the weights, all that the epochs after ``epoch`` depend on.

    Attributes:
        epoch: how many are done.
        optimisation: what :meth:`Optimisation.state_dict` gave.
    """

    epoch: int
    optimisation: Mapping[str, Tensor]


@dataclass(frozen=True)
class Live:
    """What exists only until the next epoch begins; copy at once what is to be kept.

    Attributes:
        optimisation: as it is after this epoch.
        valid_confusion: (classes, classes); ``None`` without validation images.
    """

    optimisation: Optimisation
    valid_confusion: Counts | None


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Attributes:
        number: counted from 1.
        train: averages over the epoch while the weights were changing, dropout on.
        valid: of the weights at the end of the epoch, dropout off; ``None`` without validation images.
        learning_rate: of the last step.
        seconds: wall time of the epoch, validation included.
        images_per_second: training images by wall time of the training alone.
        timestamp_ms: when it ended, Unix time in milliseconds.
        live: ``None`` in an epoch read back from a checkpoint.
    """

    number: int
    train: Metrics
    valid: Metrics | None
    learning_rate: float
    seconds: float
    images_per_second: float
    timestamp_ms: int
    live: Live | None = field(default=None, repr=False, compare=False)


def fit(
    model: nn.Module,
    train: Images,
    valid: Images,
    settings: FitSettings,
    compute: Compute,
    *,
    augmentation: Augmentation | None = None,
    resume: TrainState | None = None,
    weights: Weights | None = None,
) -> Iterator[Epoch]:
    """Train ``model`` in place, one :class:`Epoch` at a time. The weights change with the next one: copy them at once.

    Seeds torch's global generators at each epoch: ``nn.Dropout`` draws from no other.

    Args:
        model: raw pixels (B, H, W) -> log-probabilities (B, C); moved to ``compute.device``.
        train: images to learn from.
        valid: images to measure on after each epoch; may be none.
        settings: ``epochs`` counts from the first run, resumed or not.
        compute: where and how; its precision is used, not that of ``settings``, which may be ``auto``.
        augmentation: what is done to the training images before they are learnt from.
        resume: the state after an earlier epoch, whose weights ``model`` has.
        weights: how much the loss of each image of ``train`` counts, (N,), with mean 1; ``None``: all the same.

    Raises:
        SettingError: ``batch_size`` exceeds the number of training images.
        TrainingDiverged: the training loss of an epoch is NaN or infinite.
    """
    if settings.batch_size > len(train):
        raise SettingError(
            f"batch_size={settings.batch_size}: must be at most the {len(train):,} training images; lower it"
        )
    device = torch.device(compute.device)
    model.to(device)
    pixels, labels = to_device(train, device)
    valid_pixels, valid_labels = to_device(valid, device)
    counts = None if weights is None else torch.from_numpy(weights).to(device)
    optimisation = Optimisation(model, settings, settings.epochs * math.ceil(len(train) / settings.batch_size))
    done = 0
    if resume is not None:
        done = resume.epoch
        optimisation.load_state_dict(resume.optimisation)

    for number in range(done + 1, settings.epochs + 1):
        started = time.perf_counter()
        with compute.active():
            train_metrics, learning_rate = _train_epoch(
                model, pixels, labels, counts, settings, optimisation, augmentation, number, compute.precision == "bf16"
            )
            trained = time.perf_counter()
            measured = confusion = None
            if len(valid):
                log_probabilities = predict(model, valid_pixels, optimisation.weights_to_evaluate())
                measured = score(log_probabilities, valid_labels)
                predicted = log_probabilities.argmax(dim=1).cpu().numpy()
                confusion = confusion_matrix(valid.labels, predicted, log_probabilities.shape[1])
        if measured:
            optimisation.epoch_ended(measured.loss)
        yield Epoch(
            number=number,
            train=train_metrics,
            valid=measured,
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
            images_per_second=len(train) / (trained - started),
            timestamp_ms=time.time_ns() // 1_000_000,
            live=Live(optimisation, confusion),
        )


def _train_epoch(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    counts: Tensor | None,
    settings: FitSettings,
    optimisation: Optimisation,
    augmentation: Augmentation | None,
    number: int,
    bf16: bool,
) -> tuple[Metrics, float]:
    """One pass over the images; gives its metrics and the learning rate of its last step."""
    torch.manual_seed(epoch_seed(settings.seed, number))
    generator = torch.Generator(labels.device).manual_seed(epoch_seed(settings.seed, number, AUGMENTATION))
    set_training(model)
    losses, hits, sizes = [], [], []
    for batch in torch.randperm(len(labels)).to(labels.device).split(settings.batch_size):
        target = labels.index_select(0, batch)  # (B,)
        images, mixes = pixels.index_select(0, batch), list[Mix]()  # (B, H, W)
        if augmentation:
            images, mixes = augmentation(images, generator)
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=bf16):
            output = model(images).float()  # (B, C)
        count = None if counts is None else counts.index_select(0, batch)  # (B,)
        loss = _loss(output, target, mixes, count)
        losses.append(loss.detach())  # kept on the device: to look at a number would stop it
        hits.append((output.detach().argmax(dim=1) == target).sum())
        sizes.append(len(batch))
        if settings.label_smoothing:
            even = output.mean() if count is None else (output.mean(dim=1) * count).mean()
            loss = (1 - settings.label_smoothing) * loss - settings.label_smoothing * even
        learning_rate = optimisation.learning_rate
        optimisation.step(loss)
    mean_loss = torch.stack(losses).cpu().double() @ torch.tensor(sizes, dtype=torch.float64) / len(labels)
    if not math.isfinite(mean_loss):
        raise TrainingDiverged(
            f"the training loss of epoch {number} is {mean_loss.item()}; lower learning_rate={settings.learning_rate}"
        )
    return Metrics(mean_loss.item(), torch.stack(hits).sum().item() / len(labels)), learning_rate


def _loss(output: Tensor, target: Tensor, mixes: list[Mix], count: Tensor | None) -> Tensor:
    """Of a batch, whose images count the same where ``count`` is ``None``."""
    if count is None:
        return mixed_loss(output, target, mixes).mean() if mixes else F.nll_loss(output, target)
    of_each = mixed_loss(output, target, mixes) if mixes else F.nll_loss(output, target, reduction="none")
    return (of_each * count).mean()


def epoch_seed(seed: int, epoch: int, *use: int) -> int:
    """The seed of one epoch's randomness; unrelated for neighbouring seeds, epochs, uses (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, epoch, *use]).generate_state(1, np.uint64)[0])
