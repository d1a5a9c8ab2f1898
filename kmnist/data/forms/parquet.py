"""Parquet files as Hugging Face writes them: a column of pictures, one of labels, class names in the metadata."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from kmnist.data.forms.found import WHOLE, Found, Item, LabelColumn, Part, PicturePart, listed, of_split, select
from kmnist.data.forms.labels import label_column
from kmnist.data.forms.lfs import refuse_pointer
from kmnist.data.images import Labels
from kmnist.data.spec import ClassLabel, labels
from kmnist.errors import DataError, PictureError, in_one_line
from kmnist.extras import require

FORM = "parquet"
EXPECTS = (
    "a .parquet file, or a folder of some, with a column of pictures (bytes, or struct{bytes, path}) and one of labels"
)
LABELS = ("label", "labels", "class", "target", "y", "fine_label", "character")


def find(path: Path) -> Found | None:
    """The rows of a file, or of those in a folder and below it, by the splits that their names begin with."""
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
    elif path.is_file() and path.suffix.lower() == ".parquet":
        files = [path]
    else:
        return None
    if not files:
        return None
    require("parquet", str(path))
    splits: dict[str, list[Path]] = {}
    classes: tuple[ClassLabel, ...] | None = None
    for file in files:
        refuse_pointer(file)
        schema = _schema(file)
        if not has_pictures(schema):
            continue
        splits.setdefault(_split(file) if path.is_dir() else WHOLE, []).append(file)
        classes = classes or _classes(schema)
    if not splits:
        return None
    if WHOLE in splits and len(splits) > 1:
        raise DataError(
            f"{path}: of its .parquet files, {listed([file.name for file in splits[WHOLE]])} are of no split"
        )
    parts: dict[str, Part] = {split: _part(found) for split, found in splits.items()}
    folder = path if path.is_dir() else path.parent
    return Found(FORM, parts, folder, classes, name=path.stem if path.is_file() else "")


def has_pictures(schema: Any) -> bool:
    """Whether a table has one column of pictures."""
    from kmnist.pictures.tables import picture_columns

    return len(picture_columns(schema)) == 1


def _part(files: list[Path]) -> PicturePart:
    columns = [_labels(file) for file in files]
    joined: LabelColumn
    if all(isinstance(column, list) for column in columns):
        joined = [str(text) for text in chain(*columns)]
    else:
        joined = np.concatenate([np.asarray(column, np.int64) for column in columns])
    return PicturePart(joined, _Rows(files))


class _Rows:
    """The pictures of some files, one after the other."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def __call__(self, chosen: Labels) -> Iterator[Item]:
        return select(self._all(), chosen)

    def _all(self) -> Iterator[Item]:
        from kmnist.pictures.tables import read_table

        for file in self._files:
            try:
                for place, content in enumerate(read_table(file)):
                    yield f"{file}[{place}]", content
            except (PictureError, OSError) as error:
                raise DataError(f"{file}: {error}") from error


def _schema(file: Path) -> Any:
    from pyarrow import parquet

    try:
        return parquet.read_schema(file)
    except Exception as error:  # in any of pyarrow's ways
        raise DataError(f"{file} cannot be read as parquet ({in_one_line(error)[:200]})") from error


def _labels(file: Path) -> LabelColumn:
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(file)
    kinds = {field.name: field.type for field in schema}
    plain = [name for name, kind in kinds.items() if pa.types.is_integer(kind) or _is_text(kind)]
    named = [name for name in LABELS if name in plain] or (plain if len(plain) == 1 else [])
    if not named:
        told = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())[:200]
        raise DataError(f"{file}: none of its columns is called label; it has {told}")
    try:
        column = parquet.read_table(file, columns=[named[0]]).column(0)
    except Exception as error:  # in any of pyarrow's ways
        raise DataError(f"{file} cannot be read as parquet ({in_one_line(error)[:200]})") from error
    if column.null_count:
        raise DataError(f"{file}: {column.null_count:,} rows have no {named[0]}")
    if _is_text(kinds[named[0]]):
        return [str(text) for text in column.to_pylist()]
    return label_column(column.to_numpy(), str(file))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _classes(schema: Any) -> tuple[ClassLabel, ...] | None:
    """What Hugging Face's metadata call the classes."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        named = [feature["names"] for feature in features.values() if feature.get("_type") == "ClassLabel"]
        texts = [str(text) for text in named[0]]
        return labels(texts) if len(named) == 1 and len(set(texts)) == len(texts) else None
    except (KeyError, ValueError, TypeError, AttributeError, IndexError):
        return None


def _split(file: Path) -> str:
    first = re.split(r"[^a-z0-9]+", file.name.lower())[0]
    return of_split(first) or of_split(file.parent.name) or WHOLE
