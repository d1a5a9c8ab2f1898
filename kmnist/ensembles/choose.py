"""Which members are worth having: the best, and then whoever helps most, one after the other.

Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models", ICML 2004; without replacement.
"""

import numpy as np

from kmnist.calibration import LogProbabilities
from kmnist.data import Labels


def choose(told: LogProbabilities, labels: Labels, most: int) -> list[int]:
    """The places of the members whose mean has the least loss, found greedily, in the order in which they were taken.

    Args:
        told: (M, N, C), each member's log-probabilities for validation images.
        labels: (N,).
        most: members to take; all, if there are no more.
    """
    right = np.exp(told[:, np.arange(len(labels)), labels].astype(np.float64))  # (M, N), probability of the label
    chosen: list[int] = []
    while len(chosen) < min(most, len(told)):
        others = [place for place in range(len(told)) if place not in chosen]
        losses = {place: _loss(right[[*chosen, place]].mean(axis=0)) for place in others}
        chosen.append(min(losses, key=losses.__getitem__))
    return chosen


def _loss(right: np.typing.NDArray[np.float64]) -> float:
    return float(-np.log(np.clip(right, np.finfo(np.float64).tiny, None)).mean())
