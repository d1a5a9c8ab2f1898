"""Small gray PNGs, as data sets of characters hold them, by OpenCV where it is installed.

Pillow decodes one in the time in which OpenCV decodes five, because it reads the file's frame in Python. Only files of
the plainest form are given away: 8 bits a pixel, gray, not interlaced, one piece of data and nothing beside it. Both
libraries make the same pixels of these. What OpenCV refuses is Pillow's to judge, and to give a reason for.
"""

import struct
from collections.abc import Callable
from functools import cache
from zlib import crc32, decompressobj, error

import numpy as np

from kmnist.pictures.read import Gray

SIDE = 64  # pixels: of larger pictures, the decoding itself takes the time
BEGIN = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
END = b"\0\0\0\0IEND\xaeB`\x82"
FILTERS = 5  # of a row
HEADER, DATA = 33, 8  # bytes: up to the piece of data; its length and name


def read_small_png(content: bytes) -> Gray | None:
    """The gray levels (H, W) of a file of that form; nothing if it has another, or OpenCV is not there."""
    length = len(content) - HEADER - DATA - 4 - len(END)
    if length < 0 or not content.startswith(BEGIN) or not content.endswith(END) or (decode := _decoder()) is None:
        return None
    width, height, *form = struct.unpack_from(">II5B", content, len(BEGIN))
    if form != [8, 0, 0, 0, 0] or not 0 < width <= SIDE or not 0 < height <= SIDE:
        return None
    if content[HEADER : HEADER + DATA] != struct.pack(">I4s", length, b"IDAT"):
        return None
    for first, last in ((12, HEADER - 4), (HEADER + 4, HEADER + DATA + length)):
        if crc32(content[first:last]) != int.from_bytes(content[last : last + 4]):
            return None
    return decode(content) if _is_whole(content[HEADER + DATA : -4 - len(END)], width, height) else None


def _is_whole(data: bytes, width: int, height: int) -> bool:
    """Whether there is a filter and a level for each pixel of each row; libpng would complain on the screen."""
    unpacking = decompressobj()
    try:
        rows = unpacking.decompress(data, height * (width + 1) + 1)
    except error:
        return False
    return len(rows) == height * (width + 1) and unpacking.eof and max(rows[:: width + 1]) < FILTERS


@cache
def _decoder() -> Callable[[bytes], Gray | None] | None:
    try:
        import cv2
    except ImportError:
        return None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def decode(content: bytes) -> Gray | None:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]

    return decode
