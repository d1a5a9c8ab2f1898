"""Validation images, split off the training images."""

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
