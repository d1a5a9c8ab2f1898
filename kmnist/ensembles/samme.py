"""Boosting by SAMME: how much a member counts, and how much each image does for the next one.

Zhu, Zou, Rosset, Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2 (2009), as scikit-learn's
``AdaBoostClassifier`` has it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST = np.finfo(np.float64).eps  # that an image counts: a weight of zero would never grow again


@dataclass(frozen=True, eq=False)
class Round:
    """What one member leaves.

    Attributes:
        error: the share of the images that it gets wrong, by their weights.
        weight: of the member; ``None``: it is no better than guessing, and is not taken.
        images: float64 (N,), the weights of the images for the next member, of sum 1; ``None``: there is no next one,
            for this one makes no error, or is no better than guessing.
    """

    error: float
    weight: float | None
    images: npt.NDArray[np.float64] | None


def weigh(images: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], classes: int) -> Round:
    """Weigh a member by its errors, and the images by them.

    Args:
        images: (N,), the weights that it was trained with, of sum 1.
        wrong: (N,), where it is wrong.
        classes: how many there are.
    """
    images = np.clip(images, LEAST, None)
    error = float(np.average(wrong, weights=images))
    if error <= 0:
        return Round(error, 1.0, None)
    if error >= 1 - 1 / classes:
        return Round(error, None, None)
    weight = float(np.log((1 - error) / error) + np.log(classes - 1))
    grown = np.exp(np.log(images) + weight * wrong)
    return Round(error, weight, grown / grown.sum())
