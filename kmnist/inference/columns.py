"""Which column of a table is which pixel, and which one holds pictures: read from the columns' names."""

import base64
import binascii
import re
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import PictureError

END = re.compile(r"([0-9]{1,9})$")
ROW_AND_COLUMN = re.compile(r"([0-9]{1,9})[^0-9]([0-9]{1,9})$")  # 1x1 ... 28x28
NO_HEADER = "if this is a CSV without a header line, add one: its first row was taken for the names of the columns"
MOST_SHOWN = 40  # characters of a name
LONG = 100  # characters that no name of a column has, but the base64 text of any picture
#: How files of pictures begin: PNG, JPEG, WebP, GIF, BMP, TIFF. AVIF and HEIC have their mark at byte 4.
BEGINNINGS = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def pixels_or_pictures(table: pd.DataFrame, shape: tuple[int, int]) -> pd.Series | npt.NDArray[Any]:
    """The column of pictures of a table, or its pixels in the order of the image, (N, H * W).

    Columns of pixels are taken by the numbers at the end of their names, in whatever order they come: ``0`` to
    ``783``, ``pixel1`` to ``pixel784``, ``1x1`` to ``28x28``. Encoders that sort keys as text (Go's, Python's with
    ``sort_keys``) put ``10`` before ``2``, so their order means nothing.

    Args:
        table: with one column, or H * W.
        shape: (H, W) of an image.

    Raises:
        PictureError: it has another number of columns, or names that do not say which pixel is which.
    """
    names = [str(name) for name in table.columns]
    if len(names) == 1:
        if _is_picture(names[0]):
            raise PictureError(f"the name of the only column is a picture: {NO_HEADER}")
        return table.iloc[:, 0]
    if len(names) != prod(shape):
        raise PictureError(
            f"a table of {len(names):,} columns ({_shown(names)}): must have one column of pictures, or {prod(shape)} "
            "of pixels"
        )
    order = _by_number(names) or _by_row_and_column(names, shape)
    if order is None:
        raise PictureError(
            f"columns of pixels that are named {_shown(names)}: each name must end in the number of its pixel, like "
            f"pixel0 to pixel{prod(shape) - 1}; {NO_HEADER}"
        )
    values = table.to_numpy()
    return values if order == list(range(len(order))) else values[:, order]


def _by_number(names: Sequence[str]) -> list[int] | None:
    """The columns' places in the order of their numbers, which follow each other without a gap."""
    numbers = [int(match[1]) for name in names if (match := END.search(name))]
    if len(numbers) < len(names) or len(set(numbers)) < len(names) or max(numbers) - min(numbers) >= len(names):
        return None
    order: list[int] = np.argsort(numbers).tolist()
    return order


def _by_row_and_column(names: Sequence[str], shape: tuple[int, int]) -> list[int] | None:
    places = [(int(match[1]), int(match[2])) for name in names if (match := ROW_AND_COLUMN.search(name))]
    rows, columns = ({place[axis] for place in places} for axis in (0, 1))
    if len(places) < len(names) or len(set(places)) < len(names) or (len(rows), len(columns)) != shape:
        return None
    return sorted(range(len(places)), key=places.__getitem__)


def _is_picture(name: str) -> bool:
    """Whether it is the beginning of base64 text of a picture."""
    if len(name) < LONG:
        return False
    try:
        begin = base64.b64decode(name.rpartition("base64,")[2][:16])
    except binascii.Error:
        return False
    return begin.startswith(BEGINNINGS) or begin[4:8] == b"ftyp"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(name[:MOST_SHOWN] for name in names[:3]) + (", ..." if len(names) > 3 else "")
