"""Validation images, split off the training images; and parts of those that are left."""

from collections.abc import Iterable
from functools import reduce

import numpy as np
import numpy.typing as npt

from kmnist.data.images import Images
from kmnist.errors import SettingError


def split(images: Images, valid_fraction: float, seed: int) -> tuple[Images, Images]:
    """Split into train and valid with the same share of each class in both; the same seed gives the same split.

    With ``valid_fraction=0`` all of them are for training, in their order.

    Raises:
        SettingError: either part would lack a class.
    """
    train, valid = split_indices(images, valid_fraction, seed)
    return images[train], images[valid]


def split_indices(
    images: Images, valid_fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the images of :func:`split`'s two parts are among ``images``."""
    if not valid_fraction:
        return np.arange(len(images)), np.arange(0)
    from sklearn.model_selection import train_test_split  # late: it takes a second to import

    try:
        train, valid = train_test_split(
            np.arange(len(images)), test_size=valid_fraction, random_state=seed, stratify=images.labels
        )
    except ValueError as error:
        raise SettingError(
            f"valid_fraction={valid_fraction}: leaves too few of {len(images):,} images on one side ({error})"
        ) from error
    return np.sort(train), np.sort(valid)


def held_out_indices(images: Images, splits: Iterable[tuple[float, int]]) -> npt.NDArray[np.int64]:
    """Where those are among ``images`` that each split, of (``valid_fraction``, ``seed``), keeps for validation."""
    return reduce(np.intersect1d, (split_indices(images, fraction, seed)[1] for fraction, seed in splits))


def bootstrap_indices(images: Images, seed: int) -> npt.NDArray[np.int64]:
    """As many of ``images`` as there are, drawn with replacement."""
    return np.sort(np.random.default_rng(seed).integers(len(images), size=len(images)))


def fold_indices(images: Images, folds: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Where the images of each of several folds are among ``images``; each has the same share of each class.

    Raises:
        SettingError: there are fewer images of a class than folds.
    """
    from sklearn.model_selection import StratifiedKFold  # late: it takes a second to import

    least = int(np.unique(images.labels, return_counts=True)[1].min())
    if least < folds:
        raise SettingError(f"{folds} folds: a class has only {least} training images; give fewer folds")
    made = StratifiedKFold(folds, shuffle=True, random_state=seed).split(images.labels, images.labels)
    return [left for _, left in made]
