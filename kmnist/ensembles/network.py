"""An ensemble as one network: raw pixels in, log-probabilities out, like any of its members."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmnist.ensembles.config import BOOST, STACK, Kind


class Ensemble(nn.Module):
    """Members that each answer, and what makes one answer of theirs.

    Args:
        members: raw pixels (B, H, W) -> log-probabilities (B, C).
        combination: log-probabilities (M, B, C) -> (B, C).
        tta: see :class:`Shifted`.
    """

    def __init__(self, members: Sequence[nn.Module], combination: nn.Module, tta: int = 0) -> None:
        super().__init__()
        self.members = nn.ModuleList(Shifted(member, tta) if tta else member for member in members)
        self.combination = combination

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255 of any dtype (B, H, W) -> log-probabilities (B, C)."""
        combined: Tensor = self.combination(torch.stack([member(pixels) for member in self.members]))
        return combined


class Shifted(nn.Module):
    """Test-time augmentation: the mean of the probabilities for an image and for copies of it, shifted by some pixels.

    An image is shifted up, down, left and right by 1 to ``tta`` pixels, 4 * tta copies; what comes in is paper.

    Args:
        network: raw pixels (B, H, W) -> log-probabilities (B, C).
        tta: pixels.
    """

    def __init__(self, network: nn.Module, tta: int) -> None:
        super().__init__()
        self.network, self.tta = network, tta

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255 of any dtype (B, H, W) -> log-probabilities (B, C)."""
        reach, (height, width) = self.tta, pixels.shape[1:]
        wider = F.pad(pixels, (reach, reach, reach, reach))
        places = [(reach, reach)]
        for by in range(1, reach + 1):
            places += [(reach + by, reach), (reach - by, reach), (reach, reach + by), (reach, reach - by)]
        told = [self.network(wider[:, down : down + height, right : right + width]) for down, right in places]
        return torch.logsumexp(torch.stack(told), dim=0) - math.log(len(told))


class Mean(nn.Module):
    """Soft voting: the mean of the members' probabilities, in which each may count for more or less.

    Args:
        weights: of the members; any positive numbers.
    """

    log_shares: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("log_shares", torch.tensor([math.log(weight / sum(weights)) for weight in weights]))

    def forward(self, told: Tensor) -> Tensor:
        """Log-probabilities (M, B, C) -> (B, C)."""
        return torch.logsumexp(told + self.log_shares[:, None, None], dim=0)


class Samme(nn.Module):
    """What boosted members say together: each votes for one class, by its weight.

    Zhu, Zou, Rosset, Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2 (2009): the probabilities are those
    of equation (15), the softmax of the votes by K - 1.

    Args:
        weights: of the members, as :func:`kmnist.ensembles.samme.weigh` gives them.
    """

    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([weight / sum(weights) for weight in weights]))

    def forward(self, told: Tensor) -> Tensor:
        """Log-probabilities (M, B, C) -> (B, C)."""
        classes = told.shape[2]
        chosen = told.argmax(dim=2, keepdim=True) == torch.arange(classes, device=told.device)  # (M, B, C)
        votes = torch.where(chosen, 1.0, -1 / (classes - 1)) * self.weights[:, None, None]
        return torch.log_softmax(votes.sum(dim=0) / (classes - 1), dim=1)


class Stack(nn.Module):
    """A logistic regression on the probabilities of all members.

    D. H. Wolpert, "Stacked generalization", Neural Networks 5 (1992).

    Args:
        members: how many, M.
        classes: how many, C.
    """

    def __init__(self, members: int, classes: int) -> None:
        super().__init__()
        self.regression = nn.Linear(members * classes, classes)

    def forward(self, told: Tensor) -> Tensor:
        """Log-probabilities (M, B, C) -> (B, C)."""
        features = told.exp().transpose(0, 1).flatten(start_dim=1)  # (B, M * C)
        return torch.log_softmax(self.regression(features), dim=1)


def empty_combination(kind: Kind, members: int, classes: int) -> nn.Module:
    """What makes one answer of many, before it has learnt how."""
    if kind == STACK:
        return Stack(members, classes)
    return Samme([1.0] * members) if kind == BOOST else Mean([1.0] * members)
