"""The training loop, as a generator: ``for epoch in fit(model, train, valid, config): ...``

The caller owns the loop: it stops by ``break``, prunes by raising, tests by ``list(fit(...))``. The loop knows no
tracker, no tuner and no file, and it cannot see the test split.

The data stays on the device as uint8 and is indexed by a seeded permutation, after Keller Jordan's airbench
(https://github.com/KellerJordan/cifar10-airbench). All randomness of epoch k is a function of (seed, k): nothing but
weights and optimizer state has to be kept to resume with the same numbers, bit for bit.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.errors import SettingError, TrainingDiverged
from kmnist.metrics import Counts, Metrics, confusion_matrix, score
from kmnist.optimizers import build_optimizer, build_schedule

EVALUATION_BATCH = 2_048


class TrainState:
    """Optimizer and schedule: with the weights, all that the epochs after ``epoch`` depend on."""

    def __init__(self, model: nn.Module, config: TrainConfig, steps_per_epoch: int) -> None:
        self.epoch = 0
        self.optimizer = build_optimizer(model.parameters(), config)
        self.schedule = build_schedule(self.optimizer, config, steps_per_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Live tensors and JSON values; copy at once what is to be kept."""
        # The milestones are rebuilt from the config, and JSON cannot carry them: their keys are integers.
        schedule = {name: value for name, value in self.schedule.state_dict().items() if name != "milestones"}
        return {"epoch": self.epoch, "optimizer": self.optimizer.state_dict(), "schedule": schedule}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to the state that :meth:`state_dict` gave."""
        self.epoch = state["epoch"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


@dataclass(frozen=True)
class Live:
    """What exists only until the next epoch begins: the state after this one, and its validation confusion (10, 10)."""

    state: TrainState
    valid_confusion: Counts


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave.

    Attributes:
        number: counted from 1.
        train: averages over the epoch while the weights were changing, dropout on.
        valid: of the weights at the end of the epoch, dropout off.
        learning_rate: of the last step.
        seconds: wall time of the epoch, validation included.
        images_per_second: training images by wall time of the training alone.
        timestamp_ms: when it ended, Unix time in milliseconds.
        live: ``None`` in an epoch read back from a checkpoint.
    """

    number: int
    train: Metrics
    valid: Metrics
    learning_rate: float
    seconds: float
    images_per_second: float
    timestamp_ms: int
    live: Live | None = field(default=None, repr=False, compare=False)


def fit(
    model: nn.Module,
    train: Images,
    valid: Images,
    config: TrainConfig,
    *,
    device: torch.device | str = "cpu",
    resume: dict[str, Any] | None = None,
) -> Iterator[Epoch]:
    """Train ``model`` in place, one :class:`Epoch` at a time. The weights change with the next one: copy them at once.

    Seeds torch's global generators at each epoch: ``nn.Dropout`` draws from no other.

    Args:
        model: raw pixels (B, 28, 28) -> log-probabilities (B, 10); moved to ``device``.
        train: images to learn from.
        valid: images to measure on after each epoch.
        config: the settings; ``epochs`` counts from the first run, resumed or not.
        device: where to compute.
        resume: what :meth:`TrainState.state_dict` gave after an earlier epoch, whose weights ``model`` has.

    Raises:
        SettingError: ``batch_size`` exceeds the number of training images.
        TrainingDiverged: the training loss of an epoch is NaN or infinite.
    """
    if config.batch_size > len(train):
        raise SettingError(
            f"batch_size={config.batch_size}: must be at most the {len(train):,} training images; lower it"
        )
    device = torch.device(device)
    model.to(device)
    pixels, labels = to_device(train, device)
    valid_pixels, valid_labels = to_device(valid, device)
    bf16 = resolve_precision(config.precision, device) == "bf16"
    state = TrainState(model, config, math.ceil(len(train) / config.batch_size))
    if resume is not None:
        state.load_state_dict(resume)

    while state.epoch < config.epochs:
        started = time.perf_counter()
        with _denormals_flushed():
            train_metrics, learning_rate = _train_epoch(model, pixels, labels, config, state, bf16)
            trained = time.perf_counter()
            log_probabilities = predict(model, valid_pixels)
        yield Epoch(
            number=state.epoch,
            train=train_metrics,
            valid=score(log_probabilities, valid_labels),
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
            images_per_second=len(train) / (trained - started),
            timestamp_ms=time.time_ns() // 1_000_000,
            live=Live(state, confusion_matrix(valid.labels, log_probabilities.argmax(dim=1).cpu().numpy())),
        )


def _train_epoch(
    model: nn.Module, pixels: Tensor, labels: Tensor, config: TrainConfig, state: TrainState, bf16: bool
) -> tuple[Metrics, float]:
    """One pass over the images; gives its metrics and the learning rate of its last step."""
    state.epoch += 1
    torch.manual_seed(epoch_seed(config.seed, state.epoch))
    model.train()
    losses, hits, sizes = [], [], []
    for batch in torch.randperm(len(labels)).to(labels.device).split(config.batch_size):
        target = labels.index_select(0, batch)  # (B,)
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=bf16):
            output = model(pixels.index_select(0, batch)).float()  # (B, 28, 28) -> (B, 10)
        loss = F.nll_loss(output, target)
        losses.append(loss.detach())  # kept on the device: to look at a number would stop it
        hits.append((output.detach().argmax(dim=1) == target).sum())
        sizes.append(len(batch))
        if config.label_smoothing:
            loss = (1 - config.label_smoothing) * loss - config.label_smoothing * output.mean()
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        learning_rate = float(state.schedule.get_last_lr()[0])
        state.schedule.step()
    mean_loss = torch.stack(losses).cpu().double() @ torch.tensor(sizes, dtype=torch.float64) / len(labels)
    if not math.isfinite(mean_loss):
        raise TrainingDiverged(
            f"the training loss of epoch {state.epoch} is {mean_loss.item()}; lower "
            f"learning_rate={config.learning_rate}"
        )
    return Metrics(mean_loss.item(), torch.stack(hits).sum().item() / len(labels)), learning_rate


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Let the CPU round denormal numbers to zero: the plain net's loss falls to 1e-12, where they would make it crawl.

    Only around the arithmetic, because it holds for everything else in the thread, too.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def evaluate(model: nn.Module, images: Images, device: torch.device | str = "cpu") -> tuple[Metrics, Tensor]:
    """Metrics of ``model`` on ``images`` and its log-probabilities (N, 10) on the CPU; fp32, dropout off."""
    pixels, labels = to_device(images, torch.device(device))
    log_probabilities = predict(model, pixels)
    return score(log_probabilities, labels), log_probabilities.cpu()


@torch.no_grad()
def predict(model: nn.Module, pixels: Tensor) -> Tensor:
    """Log-probabilities (N, 10) of pixels (N, 28, 28) in fp32 with dropout off; the model keeps its mode."""
    training = model.training
    model.eval()
    output = torch.cat([model(batch) for batch in pixels.split(EVALUATION_BATCH)])
    model.train(training)
    return output


def to_device(images: Images, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels uint8 (N, 28, 28) and labels int64 (N,) on ``device``."""
    return torch.from_numpy(images.pixels).to(device), torch.from_numpy(images.labels).to(device)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of all randomness of one epoch; unrelated for neighbouring seeds and epochs (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is the first CUDA GPU where there is one, else the CPU.

    Raises:
        SettingError: the device does not exist on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingError(
            f"device={name}: cannot be used on this machine ({str(error).splitlines()[0]}); use auto, cpu or cuda"
        ) from error
    return device


def resolve_precision(precision: str, device: torch.device) -> str:
    """``auto`` is bf16 where the processor multiplies bf16 in hardware (AMX, AVX512-BF16, GPUs from Ampere on)."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("amx_bf16", False) or able.get("avx512_bf16", False) else "fp32"
