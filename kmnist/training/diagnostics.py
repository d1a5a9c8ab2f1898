"""Why a training goes on or stands still: gradients, updates, dead units, margins and calibration after an epoch.

Measured on a small fixed batch, with dropout off, from copies of nothing: the gradients are asked for, not accumulated,
no random number is drawn and no running statistic moves, so a training with it and one without give the same numbers,
bit for bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmnist.data.images import Images
from kmnist.training.evaluate import to_device

SHARE, LEAST, MOST = 200, 16, 256  # of the training images, one in so many; but so many at least and at most
BINS = 15  # of confidence, as usual since Guo et al.


@dataclass(frozen=True)
class LayerState:
    """One layer after an epoch.

    Attributes:
        layer: its name in the network.
        gradient_norm: Euclidean norm of the gradient of the batch's mean loss.
        weight_norm: Euclidean norm of its weights.
        update_ratio: norm of what the epoch changed, by the norm of its weights; ``None`` after a first epoch.
    """

    layer: str
    gradient_norm: float
    weight_norm: float
    update_ratio: float | None


@dataclass(frozen=True)
class Diagnosis:
    """All that was measured after one epoch.

    Attributes:
        layers: in the order of the network; frozen ones are left out.
        dead_relus: by ReLU, the share of its units (channels of a convolution) that are 0 for every image.
        margin: mean over the images of the label's log-probability less that of the next best class, in nats.
        confidence: mean of the largest probability.
        calibration_error: expected calibration error, see :func:`calibration_error`.
    """

    layers: tuple[LayerState, ...]
    dead_relus: Mapping[str, float]
    margin: float
    confidence: float
    calibration_error: float

    @property
    def summary(self) -> dict[str, float]:
        """The few numbers that are worth a curve."""
        found = {
            "gradient_norm": _norm(layer.gradient_norm for layer in self.layers),
            "weight_norm": _norm(layer.weight_norm for layer in self.layers),
            "margin": self.margin,
            "confidence": self.confidence,
            "calibration_error": self.calibration_error,
        }
        if ratios := [layer.update_ratio for layer in self.layers if layer.update_ratio is not None]:
            found["update_ratio"] = max(ratios)
        if self.dead_relus:
            found["dead_relus"] = sum(self.dead_relus.values()) / len(self.dead_relus)
        return found


class Diagnostics:
    """Measures a network again and again on the same images.

    Args:
        train: images to learn from; gradients, dead units and margins are of the first ones.
        valid: images to choose by; calibration is of the first ones, where there are any.
        device: of the network.
    """

    def __init__(self, train: Images, valid: Images, device: torch.device | str) -> None:
        size = min(max(len(train) // SHARE, LEAST), MOST)
        self._pixels, self._labels = (part[:size] for part in to_device(train, torch.device("cpu")))
        self._unseen, self._unseen_labels = (part[:size] for part in to_device(valid, torch.device("cpu")))
        self._device = torch.device(device)

    def __call__(self, model: nn.Module, before: Mapping[str, Tensor]) -> Diagnosis:
        """Measure.

        Args:
            model: on its device; it keeps its mode, its weights and its gradients.
            before: its weights after the epoch before, by name; empty after the first one.
        """
        pixels, labels = self._pixels.to(self._device), self._labels.to(self._device)
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        training = model.training
        model.eval()
        with _dead_relus(model) as dead:
            output = model(pixels).float()  # (B, C)
        found = torch.autograd.grad(F.nll_loss(output, labels), list(weights.values()), allow_unused=True)
        gradients = dict(zip(weights, found))
        shown, shown_labels = output.detach(), labels
        if len(self._unseen_labels):
            with torch.no_grad():
                shown = model(self._unseen.to(self._device)).float()
            shown_labels = self._unseen_labels.to(self._device)
        model.train(training)
        label = output.detach().gather(1, labels[:, None])[:, 0]  # (B,)
        others = output.detach().scatter(1, labels[:, None], -torch.inf).amax(dim=1)
        return Diagnosis(
            layers=tuple(_layers(weights, gradients, before)),
            dead_relus={name: float(share) for name, share in dead.items()},
            margin=float((label - others).mean()),
            confidence=float(output.detach().amax(dim=1).exp().mean()),
            calibration_error=calibration_error(shown.exp(), shown_labels),
        )


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Expected calibration error: by how much confidence and accuracy differ, as the mean over 15 bins of confidence.

    C. Guo et al., "On Calibration of Modern Neural Networks" (2017), https://arxiv.org/abs/1706.04599.

    Args:
        probabilities: (N, C).
        labels: (N,).

    >>> calibration_error(torch.tensor([[0.8, 0.2], [0.8, 0.2]]), torch.tensor([0, 1]))
    0.30000001192092896
    """
    confidence, predicted = probabilities.max(dim=1)
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    excess = torch.zeros(BINS, device=labels.device).index_add_(0, bins, confidence - (predicted == labels).float())
    return float(excess.abs().sum() / len(labels))


def _layers(
    weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor | None], before: Mapping[str, Tensor]
) -> Iterator[LayerState]:
    layers: dict[str, list[str]] = {}
    for name in weights:
        layers.setdefault(name.rpartition(".")[0].removeprefix("network."), []).append(name)
    for layer, names in layers.items():
        now = [weights[name].detach() for name in names]
        there = [gradient for name in names if (gradient := gradients[name]) is not None]
        changed = [weights[name].detach() - before[name] for name in names] if before else None
        weight_norm = _size(now)
        yield LayerState(
            layer=layer,
            gradient_norm=_size(there),
            weight_norm=weight_norm,
            update_ratio=_size(changed) / (weight_norm or 1.0) if changed else None,
        )


def _size(tensors: list[Tensor]) -> float:
    return float(torch.nn.utils.get_total_norm(tensors)) if tensors else 0.0


def _norm(parts: Iterator[float]) -> float:
    return float(sum(part**2 for part in parts) ** 0.5)


@contextmanager
def _dead_relus(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Filled by each forward pass: name of a ReLU -> share of its units that are 0 for all images."""
    found: dict[str, Tensor] = {}

    def watch(name: str, relu: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            largest = output.detach().transpose(0, 1).flatten(1).amax(dim=1)  # (units,)
            found[name] = (largest == 0).float().mean()

        return relu.register_forward_hook(look)

    names = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.ReLU))
    handles = [watch(name.removeprefix("network."), module) for name, module in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
