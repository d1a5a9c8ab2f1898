"""How much the members of an ensemble differ: who always agree gain nothing from each other."""

import numpy as np
import numpy.typing as npt

from kmnist.calibration import LogProbabilities


def disagreement(told: LogProbabilities) -> npt.NDArray[np.float64]:
    """The share of images for which each two members name different classes, (M, M), with zeros on the diagonal.

    Skalak's disagreement measure, as in Kuncheva and Whitaker, "Measures of diversity in classifier ensembles", Machine
    Learning 51 (2003).

    Args:
        told: (M, N, C), each member's log-probabilities; N >= 1.
    """
    named = told.argmax(axis=2)  # (M, N)
    return np.asarray((named[:, None] != named[None]).mean(axis=2), np.float64)
