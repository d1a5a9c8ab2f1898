"""The IDX format of MNIST: big-endian, magic ``0 0 8 ndim`` (8 = unsigned byte), one uint32 a dimension, the values."""

import gzip
from pathlib import Path

import numpy as np

from kmnist.data.images import Pixels
from kmnist.errors import DataError


def read_idx(path: Path, shape: tuple[int, ...] | None = None) -> Pixels:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array of the shape that its header states.

    Args:
        path: the file.
        shape: what the shape must be; ``None`` accepts any.

    Raises:
        DataError: the file cannot be read, has another magic number or shape, or is cut short or too long.
    """
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it to fetch it again") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise DataError(
            f"{path} begins with {content[:4].hex(' ') or 'nothing'}: an IDX file of unsigned bytes begins with "
            "00 00 08 and its number of dimensions; delete it to fetch it again"
        )
    start = 4 + 4 * content[3]
    found = tuple(int(size) for size in np.frombuffer(content[4:start].ljust(start - 4, b"\0"), ">u4"))
    if len(content) - start != int(np.prod(found, dtype=object)):
        raise DataError(
            f"{path} holds {max(len(content) - start, 0):,} values, its header {found} promises "
            f"{int(np.prod(found, dtype=object)):,}: it is cut short or damaged; delete it to fetch it again"
        )
    if shape is not None and found != shape:
        raise DataError(f"{path} has shape {found}, must be {shape}; delete it to fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(found).copy()


def idx_bytes(array: Pixels) -> bytes:
    """The IDX file (not gzipped) that :func:`read_idx` reads back to ``array``; 1 to 4 dimensions."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
