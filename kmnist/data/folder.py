"""Any folder of four IDX files, as MNIST and Fashion-MNIST come: ``dataset=PATH``.

Label texts are read from ``classes.csv`` beside them, where there is one: a line a class, in the order of the numbers,
``text`` or ``text,glyph``. Without it the classes are called by their numbers.
"""

import csv
import re
from collections.abc import Collection
from pathlib import Path

from kmnist.data.download import find_file
from kmnist.data.idx import read_idx
from kmnist.data.images import Dataset, Images
from kmnist.data.spec import ClassLabel, DataSpec, labels
from kmnist.errors import DataError

MOST_CLASSES = 256  # labels are bytes


def load_folder(folder: Path, others: Collection[str]) -> Dataset:
    """The data set in ``folder``; its name is that of the folder.

    Args:
        folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, the same for ``t10k``; gzipped or not.
        others: names that it must not have, because other data sets have them.

    Raises:
        DataError: a file is missing or damaged, or the four do not fit together.
    """
    train, test = _images(folder, "train"), _images(folder, "t10k")
    most = int(max(train.labels.max(initial=-1), test.labels.max(initial=-1)))
    height, width = train.pixels.shape[1:]
    spec = DataSpec(_name(folder, others), folder.resolve().name, _classes(folder, most + 1), (height, width))
    try:
        return Dataset.build(spec, str(folder.resolve()), train, test)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error


def _images(folder: Path, prefix: str) -> Images:
    arrays = []
    for name in (f"{prefix}-images-idx3-ubyte.gz", f"{prefix}-labels-idx1-ubyte.gz"):
        path = find_file(folder, name)
        if path is None:
            raise DataError(f"{folder} is no data set: there is no {name}, nor unpacked; four IDX files are needed")
        arrays.append(read_idx(path))
    pixels, numbers = arrays
    if pixels.ndim != 3 or numbers.ndim != 1 or len(pixels) != len(numbers) or not len(pixels):
        raise DataError(
            f"{folder}: the {prefix} files hold {pixels.shape} pixels and {numbers.shape} labels; "
            "must be (N, H, W) and (N,), N at least 1"
        )
    return Images(pixels, numbers.astype("int64"))


def _name(folder: Path, others: Collection[str]) -> str:
    """The folder's name as it can stand in a registry and on a command line, and never that of another data set."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    return f"{name}-folder" if not name or name in others else name


def _classes(folder: Path, count: int) -> tuple[ClassLabel, ...]:
    path = folder / "classes.csv"
    if not path.is_file():
        return labels(str(number) for number in range(count))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    texts = [row[0] for row in rows]
    if not count <= len(rows) <= MOST_CLASSES or len(set(texts)) < len(texts) or not all(texts):
        raise DataError(
            f"{path} names {len(set(texts))} classes in {len(rows)} lines: must be a line `text` or `text,glyph` for "
            f"each of {count} classes or more, each text once"
        )
    return labels(texts, [row[1] if len(row) > 1 and row[1] else row[0] for row in rows])
