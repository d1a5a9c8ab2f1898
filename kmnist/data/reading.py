"""How data of your own are read: plain values, named by the settings of a training. Imports nothing that takes time."""

from typing import TypedDict

TEST_FRACTION = 0.2
FULL_INK = 255.0


class Reading(TypedDict, total=False):
    """What files do not say themselves; each has a default.

    Attributes:
        first_label: the number of the first class in files that number their classes; -1: 1 where the smallest is 1,
            else 0.
        transpose: swap rows and columns of every picture, as the files of EMNIST need.
        resize: (H, W) to bring every picture to; (): as they are.
        pixel_max: the pixel value that stands for 255.
        test_fraction: part of the pictures that becomes the test split where the files have none.
        test_seed: seed of that split.
        prepare: how pictures are made to look like the training images: ``auto``: learnt from them; or the kind of a
            :class:`kmnist.data.spec.PictureForm`.
    """

    first_label: int
    transpose: bool
    resize: tuple[int, ...]
    pixel_max: float
    test_fraction: float
    test_seed: int
    prepare: str
