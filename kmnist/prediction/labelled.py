"""Pictures with their classes: a folder for each class, or a table of pictures and labels."""

import os
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from kmnist.data import DataSpec, Images, held_out_indices, load_dataset
from kmnist.data.download import find_file
from kmnist.data.load import DATASETS
from kmnist.errors import DataError, PictureError
from kmnist.extras import require
from kmnist.network import SavedNetwork
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.walk import APPLE_FOLDER
from kmnist.prediction.decoding import in_batches, prepare
from kmnist.prediction.picture import Picture
from kmnist.prediction.sources import find_pictures, no_such_file

TABLES = {".csv", ".parquet"}
COLUMNS = ("picture", "label")
LABEL = COLUMNS[1]
FORMS = (
    "must be a folder with a folder of pictures for each class (named by its number, its letters, its character or the "
    f"character's code point, like U+304A), or a table (.csv, .parquet) with the columns {' and '.join(COLUMNS)}, or a "
    f"parquet file with a column of pictures and the column {LABEL}, as Hugging Face writes it"
)
CODE_POINT = re.compile(r"[Uu]\+([0-9A-Fa-f]{4,6})")
#: Labels, and their pictures.
Rows = Iterator[tuple[str, Iterator[Picture]]]


@dataclass(frozen=True)
class Labelled:
    """Pictures with their classes.

    Attributes:
        images: those that could be read, in the form of the training images.
        spec: of their data set; of pictures of one's own, named as their folder or table.
        split: of the data set; of pictures of one's own, ``pictures``.
        source: where they came from.
        unread: of the others the name, and why.
    """

    images: Images
    spec: DataSpec
    split: str
    source: str
    unread: list[tuple[str, str]]


def find_labelled(
    name: str,
    split: str,
    data_dir: Path,
    saved: SavedNetwork,
    *,
    raw: bool = False,
    leave_out: Collection[str] = (),
) -> Labelled:
    """What a model is to be measured on: a split of a data set, or pictures of one's own.

    Args:
        name: of a data set, or the path of its IDX files or of what :func:`read_labelled` takes.
        split: of a data set: ``test``, ``train`` or ``valid``, the last two as the model's own training split it.
        data_dir: where the files of a data set known by name are.
        saved: the model.
        raw: take pictures of one's own as they are.
        leave_out: labels of pictures of one's own that are not read.

    Raises:
        DataError: the data set cannot be had, or has other classes or another shape than the model.
        PictureError: as :func:`read_labelled`.
    """
    if name not in DATASETS and find_file(Path(name), "train-images-idx3-ubyte.gz") is None:
        return read_labelled(Path(name), saved.spec, raw=raw, leave_out=leave_out)
    data = load_dataset(name, data_dir)
    here, there = (([label.text for label in spec.classes], spec.shape) for spec in (data.spec, saved.spec))
    if here != there:
        raise DataError(
            f"{data.spec.title} has {len(here[0])} classes and images of {here[1]}; the model was trained on "
            f"{saved.spec.title}, with {len(there[0])} and {there[1]}: measure it on data with the same classes"
        )
    if split == "test":
        images = data.test
    else:
        valid = held_out_indices(data.train, saved.config.splits)
        images = data.train[valid if split == "valid" else np.setdiff1d(np.arange(len(data.train)), valid)]
    if not len(images):
        fractions = ", ".join(f"{fraction:g} (seed {seed})" for fraction, seed in saved.config.splits)
        raise DataError(f"split={split}: the model was trained with valid_fraction={fractions}, which leaves none")
    return Labelled(images, data.spec, split, data.source, [])


def read_labelled(path: Path, spec: DataSpec, *, raw: bool = False, leave_out: Collection[str] = ()) -> Labelled:
    """Read all pictures of a folder or table; only their training form, of ``spec.shape``, is kept in memory.

    Args:
        path: of a folder with a folder for each class, or of a table whose pictures are in it, or named from its own
            folder.
        spec: of the data whose classes the pictures have.
        raw: take pictures as they are: of the training images' shape, light on dark.
        leave_out: labels whose pictures are not read, because the model does not know them.

    Raises:
        PictureError: it is neither, it names classes that there are not, or none of its pictures can be read.
    """
    numbers = {name: number for number in range(len(spec.classes)) for name in _names(spec, number)}
    kept, labels, unread = [np.zeros((0, *spec.shape), np.uint8)], [], []
    waiting: list[int] = []  # the labels of the pictures of a batch
    rows = _of_table(path) if path.suffix in TABLES else _of_folder(path)

    def pictures() -> Iterator[Picture]:
        for label, found in rows:
            if label in leave_out:
                continue
            if (number := numbers.get(_as_class(label))) is None:
                known = ", ".join(spec.names[:12])
                raise PictureError(
                    f"{path}: {label[:80]!r} is none of the classes of {spec.title}, which are: {known}; to measure on "
                    f"the others: --leave-out {label[:80]}"
                )
            for picture in found:
                waiting.append(number)
                yield picture

    for batch in in_batches(pictures()):
        found = prepare(batch, spec.shape, raw)
        good = np.asarray([not error for error in found.errors])
        kept.append(found.images[good])
        labels += [number for number, there in zip(waiting, good) if there]
        unread += [(name, error) for name, error in zip(found.names, found.errors) if error]
        waiting.clear()
    if not labels:
        first = f"; the first: {unread[0][0]}: {unread[0][1]}" if unread else ""
        raise PictureError(f"{path}: none of its {len(unread):,} pictures can be read{first}")
    own = replace(spec, name=path.resolve().stem, title=path.resolve().name, digests={}, official=False)
    images = Images(np.concatenate(kept), np.asarray(labels, np.int64))
    return Labelled(images, own, "pictures", str(path.resolve()), unread)


def _names(spec: DataSpec, number: int) -> tuple[str, str, str]:
    label = spec.classes[number]
    return str(number), _as_class(label.text), _as_class(label.glyph)


def _as_class(label: str) -> str:
    """A label as classes are compared: a code point as its character; one that macOS took apart put together again."""
    if match := CODE_POINT.fullmatch(label):
        with suppress(ValueError, OverflowError):  # beyond U+10FFFF
            label = chr(int(match[1], 16))
    return unicodedata.normalize("NFC", label)


def _of_folder(path: Path) -> Rows:
    try:
        inside = sorted(os.scandir(path), key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise PictureError(f"{path}: {no_such_file(str(path))}; it {FORMS}") from error
    except (OSError, ValueError) as error:
        raise PictureError(f"{path}: {getattr(error, 'strerror', None) or error}; it {FORMS}") from error
    # Hidden folders are those of programs: .git, .ipynb_checkpoints, .thumbnails.
    folders = [e for e in inside if e.is_dir() and not e.name.startswith(".") and e.name != APPLE_FOLDER]
    if not folders:
        raise PictureError(f"{path}: it has no folders; it {FORMS}")
    yield from ((entry.name, find_pictures([entry.path], BytesIO(), Skipped())) for entry in folders)


def _of_table(path: Path) -> Rows:
    if path.suffix == ".parquet":
        require("parquet", str(path))
        from kmnist.pictures.tables import holds_pictures, read_labels, read_table  # pyarrow takes its time

        try:
            if holds_pictures(path):
                for place, (label, value) in enumerate(zip(read_labels(path, LABEL), read_table(path))):
                    yield label, iter([Picture(f"{path}[{place}]", value)])
                return
        except (OSError, PictureError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PictureError(f"{path} cannot be read as a table ({reason}); it {FORMS}") from error
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str) if path.suffix == ".csv" else pd.read_parquet(path).astype(str)
        pictures, labels = (list(table[name]) for name in COLUMNS)
    except Exception as error:  # in any of pandas' and pyarrow's ways
        raise PictureError(f"{path} cannot be read as a table ({type(error).__name__}: {error}); it {FORMS}") from error
    for picture, label in zip(pictures, labels):
        yield str(label), find_pictures([str(path.parent / str(picture))], BytesIO(), Skipped())
