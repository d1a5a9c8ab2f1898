"""The IDX format of MNIST: big-endian, magic ``0 0 8 ndim`` (8 = unsigned byte), one uint32 a dimension, the values."""

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from kmnist.data.images import Pixels
from kmnist.errors import DataError

MOST_UNPACKED = 1_032  # times their packed size: more cannot be in deflated data (https://zlib.net/zlib_tech.html)


@contextmanager
def open_idx(path: Path) -> Iterator[tuple[tuple[int, ...], BinaryIO]]:
    """An IDX file of unsigned bytes, gzipped or not: the shape that its header states, and its values to be read.

    Raises:
        DataError: the file cannot be read, has another magic number, or proves to be damaged while it is read.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(file) if zipped else nullcontext(file) as values:
                magic = values.read(4)
                if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
                    raise DataError(
                        f"{path} begins with {magic.hex(' ') or 'nothing'}: an IDX file of unsigned bytes begins with "
                        "00 00 08 and its number of dimensions; delete it to fetch it again"
                    )
                if len(sizes := values.read(4 * magic[3])) < 4 * magic[3]:
                    raise DataError(f"{path} is cut short in its header; delete it to fetch it again")
                yield tuple(int(size) for size in np.frombuffer(sizes, ">u4")), cast(BinaryIO, values)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it to fetch it again") from error


def read_idx(path: Path, shape: tuple[int, ...] | None = None) -> Pixels:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array of the shape that its header states.

    Args:
        path: the file.
        shape: what the shape must be; ``None`` accepts any.

    Raises:
        DataError: the file cannot be read, has another magic number or shape, or is cut short or too long.
    """
    with open_idx(path) as (found, values):
        if shape is not None and found != shape:
            raise DataError(f"{path} has shape {found}, must be {shape}; delete it to fetch it again")
        promised = math.prod(found)
        # No more than deflate can have packed, however much is promised; and one more, to see whether there is more.
        content = values.read(min(promised, MOST_UNPACKED * path.stat().st_size) + 1)
    if len(content) != promised:
        raise DataError(
            f"{path} holds {'more' if len(content) > promised else f'{len(content):,} values'}, its header {found} "
            f"promises {promised:,}: it is cut short or damaged; delete it to fetch it again"
        )
    return np.frombuffer(content, np.uint8).reshape(found).copy()


def idx_bytes(array: Pixels) -> bytes:
    """The IDX file (not gzipped) that :func:`read_idx` reads back to ``array``; 1 to 4 dimensions."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
