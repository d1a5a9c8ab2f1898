"""A table that names a file of a picture and its class in each row: columns ``picture`` and ``label``."""

from collections.abc import Iterator
from pathlib import Path

from kmnist.data.forms.found import WHOLE, Found, Item, PicturePart
from kmnist.data.images import Labels
from kmnist.errors import DataError, in_one_line
from kmnist.extras import require

FORM = "table"
COLUMNS = ("picture", "label")
EXPECTS = f"a table (.csv, .parquet) with the columns {' and '.join(COLUMNS)}, of which the first names files"
SUFFIXES = (".csv", ".parquet")


def find(path: Path) -> Found | None:
    """The rows of a table; its pictures are named from its own folder."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return None
    require("train", f"reading {path.name}")
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        else:
            require("parquet", str(path))
            table = pd.read_parquet(path).astype(str)
    except Exception as error:  # in any of pandas' and pyarrow's ways
        raise DataError(f"{path} cannot be read as a table ({in_one_line(error)[:200]})") from error
    if not set(COLUMNS) <= set(table.columns):
        return None
    names = [str(path.parent / name) for name in table[COLUMNS[0]]]
    return Found(FORM, {WHOLE: PicturePart([str(name) for name in table[COLUMNS[1]]], _Named(names))}, path.parent)


class _Named:
    """Pictures by the paths of their files."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def __call__(self, chosen: Labels) -> Iterator[Item]:
        for place in chosen.tolist():
            yield self._names[place], self._names[place]
