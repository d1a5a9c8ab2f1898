"""Pictures from files of arrays: .npy, .npz, IDX. Some at a time, in constant memory, whatever a header promises."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from kmnist.data.forms.npz import is_of_pixels
from kmnist.data.idx import open_idx
from kmnist.errors import DataError, PictureError
from kmnist.pictures.limits import MOST_PIXELS, MOST_UNPACKED, SMALL
from kmnist.pictures.read import Gray
from kmnist.pictures.skipped import Skipped

PIECE = 2**20  # bytes read at once
MOST_AT_ONCE = 200_000_000  # bytes of an array that is stored column by column, and cannot be read in pieces


@dataclass(frozen=True)
class _Array:
    """What a header states, and the bytes behind it.

    Attributes:
        shape: of the array.
        columns_first: whether it is in Fortran's order.
        values: the file, or what is unpacked of it, after the header.
        packed: bytes of it in the file.
    """

    shape: tuple[int, ...]
    columns_first: bool
    values: BinaryIO
    packed: int


def read_arrays(path: Path, skipped: Skipped | None = None) -> Iterator[Gray]:
    """The pictures (H, W) in a file of an array uint8 (N, H, W) or (H, W).

    Args:
        path: of the file.
        skipped: is told of the other arrays of an ``.npz``: the one called like pictures is read, else the first.

    Raises:
        PictureError: there is another array in it, or none; it is damaged, too large, or no such file.
        OSError: it cannot be read.
    """
    opened = {".npy": _open_npy, ".npz": _open_npz}.get(path.suffix.lower(), _open_idx)
    try:
        with opened(path, skipped or Skipped()) as array:
            _check(array)
            yield from _column_by_column(array) if array.columns_first else _row_by_row(array)
            if array.values.read(1):
                raise PictureError("damaged: it is longer than its header promises")
    except (PictureError, OSError):
        raise
    except DataError as error:  # of a file that the project fetched, it could say to fetch it again
        raise PictureError(str(error).partition("; delete it")[0].removeprefix(f"{path} ")) from None
    except (
        Exception
    ) as error:  # numpy, zipfile and zlib raise whatever the bytes provoke: tokenize errors, KeyError, ...
        raise PictureError(f"damaged file of arrays ({str(error) or type(error).__name__})") from None


def _check(array: _Array) -> None:
    """See that reading it is worth beginning."""
    shape, size = array.shape, math.prod(array.shape)
    if len(shape) not in (2, 3) or any(length < 1 for length in shape[-2:]) or shape[0] < 0:
        raise PictureError(f"an array of shape {shape}: must be uint8 (N, H, W)")
    if shape[-2] * shape[-1] > MOST_PIXELS:
        raise PictureError(f"{shape[-1]} x {shape[-2]} pixels: at most {MOST_PIXELS:,} are read; shrink it")
    if size > max(SMALL, MOST_UNPACKED * array.packed):
        raise PictureError(
            f"{array.packed:,} bytes that promise {size:,}: more than {MOST_UNPACKED} times as much is not unpacked"
        )


def _row_by_row(array: _Array) -> Iterator[Gray]:
    count = 1 if len(array.shape) == 2 else array.shape[0]
    height, width = array.shape[-2:]
    at_once = max(PIECE // (height * width), 1)
    for first in range(0, count, at_once):
        pictures = min(at_once, count - first)
        yield from _read(array, pictures * height * width).reshape(pictures, height, width)


def _column_by_column(array: _Array) -> Iterator[Gray]:
    size = math.prod(array.shape)
    if size > MOST_AT_ONCE:
        raise PictureError(f"{size:,} bytes column by column: at most {MOST_AT_ONCE:,} are read; save it row by row")
    images = _read(array, size).reshape(array.shape, order="F")
    yield from images if images.ndim == 3 else images[None]


def _read(array: _Array, size: int) -> Gray:
    content = array.values.read(size)
    if len(content) < size:
        raise PictureError(f"damaged: it is cut short; its header promises {math.prod(array.shape):,} bytes")
    return np.frombuffer(content, np.uint8)


@contextmanager
def _open_npy(path: Path, skipped: Skipped) -> Iterator[_Array]:
    with path.open("rb") as file:
        yield _Array(*_numpy_header(file), file, path.stat().st_size)


@contextmanager
def _open_npz(path: Path, skipped: Skipped) -> Iterator[_Array]:
    """One array of an archive. Nothing is written to disk, whatever the names in it are."""
    with zipfile.ZipFile(path) as archive:
        if not (members := archive.infolist()):
            raise PictureError("an archive without arrays")
        member = next((one for one in members if is_of_pixels(Path(one.filename).stem)), members[0])
        for other in members:
            if other is not member:
                skipped.add(f"{other.filename} of {path}", f"arrays beside {Path(member.filename).stem}")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack without limit
            raise PictureError("packed in another way than numpy does")
        with archive.open(member) as file:
            values = cast(BinaryIO, file)
            yield _Array(*_numpy_header(values), values, min(member.compress_size, path.stat().st_size))


@contextmanager
def _open_idx(path: Path, skipped: Skipped) -> Iterator[_Array]:
    with open_idx(path) as (shape, values):
        yield _Array(shape, False, values, path.stat().st_size)


def _numpy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool]:
    """Shape, and whether columns come first.

    Raises:
        PictureError: the values are no unsigned bytes.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, columns_first, kind = np.lib.format.read_array_header_1_0(file)
    else:
        shape, columns_first, kind = np.lib.format.read_array_header_2_0(file)
    if kind != np.uint8:
        raise PictureError(f"an array of {kind} {shape}: must be uint8 (N, H, W)")
    return shape, columns_first
