"""The numbers of one split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from kmnist.settings import Registry

#: Each takes log-probabilities (N, C) and labels (N,) to a number; to ``None`` where it would say nothing new.
METRICS: Registry[Callable[[Tensor, Tensor], float | None]] = Registry(
    "metric", {"balanced_accuracy": "kmnist.metrics.balanced_accuracy:balanced_accuracy"}
)


@dataclass(frozen=True)
class Metrics:
    """Loss and accuracy of one split, and what else its labels call for.

    Attributes:
        loss: mean negative log-likelihood of the labels in nats, without label smoothing; lower is better.
        accuracy: share of images whose most probable class is their label, 0..1.
        more: those of ``METRICS`` that say something of this split, by name.
    """

    loss: float
    accuracy: float
    more: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, float]:
        """All of them by name."""
        return {"loss": self.loss, "accuracy": self.accuracy, **self.more}


def score(log_probabilities: Tensor, labels: Tensor) -> Metrics:
    """Metrics of log-probabilities (N, C) against labels (N,); N >= 1. A NaN anywhere makes the loss NaN.

    >>> import torch
    >>> score(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log(), torch.tensor([0, 1]))
    Metrics(loss=0.4904146194458008, accuracy=1.0, more={})
    """
    loss = F.nll_loss(log_probabilities, labels).item()
    accuracy = (log_probabilities.argmax(dim=1) == labels).double().mean().item()
    found = {name: METRICS[name](log_probabilities, labels) for name in METRICS}
    return Metrics(loss, accuracy, {name: value for name, value in found.items() if value is not None})
