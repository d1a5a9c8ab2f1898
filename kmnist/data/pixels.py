"""From arrays of numbers, as people save pictures, to unsigned bytes (N, H, W)."""

from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.images import Pixels
from kmnist.data.reading import FULL_INK, Reading
from kmnist.errors import DataError
from kmnist.pictures.read import resized

AT_ONCE = 1_024  # pictures
RED, GREEN, BLUE = 19_595, 38_470, 7_471  # of 65,536: ITU-R BT.601, as Pillow computes gray
LEAST_ROW = 16  # pixels of a picture that lies in one row
Array = npt.NDArray[Any]


def as_pictures(array: Array, source: str) -> Array:
    """A view (N, H, W), or (N, H, W, 3) of pictures in colour.

    Raises:
        DataError: it holds something else.
    """
    shape = array.shape
    if array.dtype.kind not in "uifb":
        raise DataError(f"{source} holds values of type {array.dtype}: pixels must be numbers")
    if array.ndim == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        array = np.moveaxis(array, 1, 3)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim == 2 and (side := isqrt(shape[1])) ** 2 == shape[1] >= LEAST_ROW:
        array = array.reshape(len(array), side, side)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape[1:]:
        raise DataError(
            f"{source} has shape {shape}: must be (N, H, W), (N, H, W, 3) in colour, or (N, H * W) of square pictures"
        )
    return array


def to_gray_bytes(pictures: Array, chosen: npt.NDArray[np.int64], pixel_max: float, source: str) -> Pixels:
    """Of (N, H, W) or (N, H, W, 3) those that are chosen, as gray levels; all of them without a copy where they are.

    Raises:
        DataError: values that are not from 0 to ``pixel_max``.
    """
    if pictures.dtype == np.uint8 and pictures.ndim == 3 and pixel_max == FULL_INK and len(chosen) == len(pictures):
        check_range(*_range(pictures), pixel_max, source)
        return np.ascontiguousarray(pictures)
    made = np.empty((len(chosen), *pictures.shape[1:3]), np.uint8)
    low, high = np.inf, -np.inf
    for at in range(0, len(chosen), AT_ONCE):
        some = pictures[chosen[at : at + AT_ONCE]]
        least, most = _range(some)
        low, high = min(low, least), max(high, most)
        check_range(least, most, pixel_max, source, whole=False)
        if some.dtype != np.uint8 or pixel_max != FULL_INK:
            some = np.rint(some.astype(np.float32) * np.float32(FULL_INK / pixel_max)).astype(np.uint8)
        made[at : at + AT_ONCE] = _gray(some) if some.ndim == 4 else some
    if len(chosen):
        check_range(low, high, pixel_max, source)
    return made


def check_range(low: float, high: float, pixel_max: float, source: str, *, whole: bool = True) -> None:
    """See that values are gray levels, by the least and the most of them.

    Args:
        low: the least.
        high: the most.
        pixel_max: what the most may be.
        source: what to call it in the message.
        whole: whether these are of all pictures: of some, even the most may be small.

    Raises:
        DataError: they are not.
    """
    if not (low >= 0 and high <= pixel_max):  # so written, NaN is refused, too
        way_out = f"; give --pixel-max {_next(high)}" if low >= 0 and high > pixel_max else ""
        raise DataError(f"{source}: pixel values from {low:g} to {high:g}: must be from 0 to {pixel_max:g}{way_out}")
    if whole and pixel_max == FULL_INK and 0 < high <= 1:  # a model refuses them, too
        raise DataError(
            f"{source}: pixel values from 0 to 1: must be from 0 to 255; multiply them by 255, or give --pixel-max 1"
        )


def in_order(pixels: Pixels, reading: Reading) -> Pixels:
    """Rows and columns swapped, and then resized, where that is asked for."""
    if reading.get("transpose"):
        if pixels.shape[1] == pixels.shape[2] and pixels.flags.writeable:
            for at in range(0, len(pixels), AT_ONCE):
                some = pixels[at : at + AT_ONCE]
                some[:] = some.transpose(0, 2, 1).copy()
        else:
            pixels = np.ascontiguousarray(pixels.transpose(0, 2, 1))
    if (size := size_of(reading)) and pixels.shape[1:] != size:
        made = np.empty((len(pixels), *size), np.uint8)
        for place, picture in enumerate(pixels):
            made[place] = resized(picture, size)
        return made
    return pixels


def size_of(reading: Reading) -> tuple[int, int] | None:
    """(H, W) to resize to, where that is asked for."""
    resize = reading.get("resize", ())
    return (resize[0], resize[-1]) if resize else None


def _gray(pictures: Pixels) -> Pixels:
    """(N, H, W, 3) as (N, H, W), to the level as Pillow makes them."""
    wide = pictures.astype(np.uint32)
    return ((wide[..., 0] * RED + wide[..., 1] * GREEN + wide[..., 2] * BLUE + 0x8000) >> 16).astype(np.uint8)


def _range(values: Array) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _next(high: float) -> str:
    return next((f"{most:g}" for most in (255, 1_023, 4_095, 65_535) if high <= most), f"{high:g}")
