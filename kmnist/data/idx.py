"""The IDX format of MNIST: big-endian, magic ``0 0 type ndim``, one uint32 a dimension, the values (type 8: bytes)."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from kmnist.data.forms.lfs import BEGIN, is_pointer, pointer
from kmnist.data.images import Pixels
from kmnist.errors import DataError

MOST_UNPACKED = 1_032  # times their packed size: more cannot be in deflated data (https://zlib.net/zlib_tech.html)
AT_ONCE = 2**20  # bytes
#: Type in the file -> of the values, big-endian (http://yann.lecun.com/exdb/mnist, "the IDX file format").
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BYTES = np.dtype(np.uint8)


@contextmanager
def open_idx(path: Path) -> Iterator[tuple[tuple[int, ...], BinaryIO]]:
    """An IDX file of unsigned bytes, gzipped or not: the shape that its header states, and its values to be read.

    Raises:
        DataError: the file cannot be read, has another magic number, or proves to be damaged while it is read.
    """
    with _open(path) as (shape, kind, values):
        if kind != BYTES:
            raise DataError(f"{path} holds values of type {kind.name}: must be unsigned bytes")
        yield shape, values


@contextmanager
def _open(path: Path) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], BinaryIO]]:
    try:
        with path.open("rb") as file:
            begin = file.peek(len(BEGIN))
            if is_pointer(begin):
                raise pointer(path)
            with gzip.open(file) if begin[:2] == b"\x1f\x8b" else nullcontext(file) as values:
                magic = values.read(4)
                if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 4:
                    raise DataError(
                        f"{path} begins with {magic.hex(' ') or 'nothing'}: an IDX file of unsigned bytes begins with "
                        "00 00 08 and its number of dimensions"
                    )
                if len(sizes := values.read(4 * magic[3])) < 4 * magic[3]:
                    raise DataError(f"{path} is cut short in its header")
                shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
                yield shape, np.dtype(TYPES[magic[2]]), cast(BinaryIO, values)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error


def read_idx(path: Path, shape: tuple[int, ...] | None = None) -> Pixels:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array of the shape that its header states.

    Args:
        path: the file.
        shape: what the shape must be; ``None`` accepts any.

    Raises:
        DataError: the file cannot be read, has another magic number or shape, or is cut short or too long.
    """
    array = read_numbers(path, shape)
    if array.dtype != np.uint8:
        raise DataError(f"{path} holds values of type {array.dtype}: must be unsigned bytes")
    return array


def read_numbers(path: Path, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """As :func:`read_idx`, of any of the types that IDX has."""
    with _open(path) as (found, kind, values):
        if shape is not None and found != shape:
            raise DataError(f"{path} has shape {found}, must be {shape}")
        promised = math.prod(found) * kind.itemsize
        # No more than deflate can have packed, however much is promised; and one more, to see whether there is more.
        content = np.empty(min(promised, MOST_UNPACKED * path.stat().st_size), np.uint8)
        size, view = 0, content.data
        while size < len(content) and (read := values.readinto(view[size : size + AT_ONCE])):  # type: ignore[attr-defined]
            size += read
        longer = size == promised and bool(values.read(1))
    if longer or size != promised:
        raise DataError(
            f"{path} holds {'more' if longer else f'{size // kind.itemsize:,} values'}, its header {found} "
            f"promises {math.prod(found):,}: it is cut short or damaged"
        )
    array = content.view(kind).reshape(found)
    return array if kind == BYTES else array.astype(kind.newbyteorder("="))


def idx_bytes(array: npt.NDArray[Any]) -> bytes:
    """The IDX file (not gzipped) that :func:`read_numbers` reads back to ``array``; 1 to 4 dimensions."""
    kind = next(number for number, kind in TYPES.items() if np.dtype(kind) == array.dtype.newbyteorder(">"))
    return (
        bytes([0, 0, kind, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(TYPES[kind]).tobytes()
    )
