"""Tables of pixels: a picture a line, its label first or in a column of that name; with and without a header."""

import csv
import gzip
from collections.abc import Iterator
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from kmnist.data.forms.found import WHOLE, ArrayPart, Found, LabelColumn, Part, listed, of_split
from kmnist.data.forms.labels import label_column
from kmnist.data.forms.lfs import refuse_pointer
from kmnist.data.growing import Growing
from kmnist.data.pixels import LEAST_ROW
from kmnist.errors import DataError, in_one_line
from kmnist.extras import require

FORM = "csv"
EXPECTS = (
    "a .csv file of pixels, a picture a line with its label first; or a folder with one for train and one for test"
)
SUFFIXES = (".csv", ".csv.gz")
LABELS = ("label", "labels", "class", "target", "y")
ROWS = 4_096  # at once
BESIDE = "classes.csv"  # names classes, and is no table of pixels


def find(path: Path) -> Found | None:
    """A table of pixels, or a folder of some."""
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES) or (width := _columns(path)) is None:
        return None
    if width.label is None:
        raise DataError(f"{path} has {width.pixels:,} columns of pixels and none of labels: {EXPECTS}")
    return Found(FORM, {WHOLE: _read(path, width)}, path.parent, name=path.name.split(".")[0])


class _Columns:
    """The columns of a table.

    Attributes:
        header: whether the first line names them.
        label: where the label is; ``None``: there is none.
        pixels: how many others there are.
    """

    def __init__(self, header: bool, label: int | None, pixels: int) -> None:
        self.header, self.label, self.pixels = header, label, pixels


def _of_folder(folder: Path) -> Found | None:
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name.lower().endswith(SUFFIXES)]
    tables = {file: found for file in files if file.name != BESIDE and (found := _columns(file))}
    if not tables:
        return None
    parts: dict[str, Part] = {}
    notes = []
    for file, columns in tables.items():
        words = file.name.lower().split(".")[0].replace("-", "_").split("_")
        split = next((split for word in words if (split := of_split(word))), WHOLE)
        if columns.label is None:  # as the test images of a competition
            notes.append(f"left out {file.name}, which has no labels")
            continue
        if split in parts:
            raise DataError(
                f"{folder} holds several tables of pixels, {listed([file.name for file in tables])}: name one, or call "
                "them train.csv and test.csv"
            )
        parts[split] = _read(file, columns)
    if parts.keys() - {WHOLE} and WHOLE in parts:
        raise DataError(f"{folder}: of {listed([file.name for file in tables])} only some are named by a split")
    return Found(FORM, parts, folder, notes=tuple(notes)) if parts else None


def read_pixels(path: Path) -> Iterator[np.ndarray]:
    """The pictures (H, W) of a table of pixels, with or without labels, some at a time.

    Raises:
        DataError: it is none.
    """
    columns = _columns(path)
    if columns is None:
        raise DataError(f"{path.name}: its columns are not those of square pictures; {EXPECTS}")
    side = isqrt(columns.pixels)
    for rows, _ in _rows(path, columns):
        if rows.min() < 0 or rows.max() > 255:
            raise DataError(f"{path.name}: pixel values from {rows.min():g} to {rows.max():g}: must be from 0 to 255")
        yield from rows.astype(np.uint8).reshape(-1, side, side)


def _columns(path: Path) -> _Columns | None:
    """What a table holds, by its first two lines; nothing if these are no pixels."""
    refuse_pointer(path)
    try:
        with (
            gzip.open(path, "rt") if path.name.endswith(".gz") else path.open(newline="", encoding="utf-8-sig") as file
        ):
            lines = [row for row in islice(csv.reader(file), 2) if row]
    except (OSError, UnicodeDecodeError, csv.Error, EOFError):
        return None
    if not lines:
        return None
    header = len(lines) > 1 and not all(map(_is_number, lines[0][1:]))
    first = lines[-1]
    label: int | None = None
    if header:
        named = [place for place, name in enumerate(lines[0]) if name.strip().lower() in LABELS]
        label = named[0] if named else (0 if _is_square(len(first) - 1) else None)
    elif _is_square(len(first) - 1):
        label = 0
    pixels = [value for place, value in enumerate(first) if place != label]
    if not _is_square(len(pixels)) or not all(map(_is_number, pixels)):
        return None
    return _Columns(header, label, len(pixels))


def _read(path: Path, columns: _Columns) -> ArrayPart:
    pixels, labels = Growing(), []
    for rows, some in _rows(path, columns):
        pixels.append(rows)
        labels.append(some)
    if not labels:
        raise DataError(f"{path} has no lines of pixels")
    joined: LabelColumn = label_column(np.concatenate(labels), str(path))
    return ArrayPart(pixels.array(), joined, str(path))


def _rows(path: Path, columns: _Columns) -> Iterator[tuple[Any, Any]]:
    """Pixels (n, H * W), as small as their type can be, and labels (n,)."""
    require("train", f"reading {path.name}")
    import pandas as pd

    try:
        with pd.read_csv(path, header=0 if columns.header else None, chunksize=ROWS) as chunks:
            for chunk in chunks:
                label = chunk.pop(chunk.columns[columns.label]) if columns.label is not None else None
                values = chunk.to_numpy()
                if values.dtype.kind not in "uif" or np.isnan(values).any():
                    raise ValueError("a pixel is missing, or is no number")
                names = label.to_numpy() if label is not None else np.zeros(len(values), np.int64)
                yield _small(values), names.astype(str) if names.dtype == object else names
    except Exception as error:  # in any of pandas' ways
        raise DataError(f"{path} cannot be read as a table of pixels ({in_one_line(error)[:200]})") from error


def _small(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "ui" and values.size and values.min() >= 0 and values.max() <= 255:
        return values.astype(np.uint8)
    return values.astype(np.float32)


def _is_square(count: int) -> bool:
    return count >= LEAST_ROW and isqrt(count) ** 2 == count


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
