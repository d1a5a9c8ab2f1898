"""How answers are shown: as a table, as JSON, as CSV, in a file, or as a picture."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from kmnist.errors import PictureError
from kmnist.inference.answers import COLUMNS, Row

CHUNK = 20_000  # rows in memory


def print_rows(rows: Iterable[Row], form: Literal["table", "json", "csv"]) -> int:
    """Print each answer; gives the number of pictures that could not be read."""
    failed = 0
    with {"table": _table, "json": _json_lines, "csv": _csv}[form]() as write:
        for row in rows:
            write(row)
            failed += bool(row["error"])
    return failed


def write_rows(rows: Iterator[Row], path: Path, total: int | None) -> int:
    """Write all answers to a .parquet or .csv file; gives the number of pictures that could not be read.

    Raises:
        PictureError: the file is of another kind, or cannot be written.
    """
    writers = {".parquet": _parquet_file, ".csv": _csv_file}
    if path.suffix not in writers:
        raise PictureError(f"--out {path}: must end in {' or '.join(writers)}")
    failed = 0
    try:
        with writers[path.suffix](path) as write, tqdm(total=total, unit=" pictures", file=sys.stderr) as bar:
            while chunk := list(islice(rows, CHUNK)):
                write(chunk)
                failed += sum(bool(row["error"]) for row in chunk)
                bar.update(len(chunk))
    except OSError as error:
        raise PictureError(f"{path} cannot be written: {error}") from error
    return failed


@contextmanager
def _table() -> Iterator[Callable[[Row], None]]:
    table = Table(box=None, pad_edge=False)
    for name in ("picture", "kana", "", "class", "probability", "or", "or"):
        table.add_column(name, overflow="fold")

    def write(row: Row) -> None:
        if row["error"]:
            table.add_row(str(row["picture"]), "-", str(row["error"]))
            return
        others = [f"{row[name]} {row[f'{name}_probability']:.1%}" for name in ("second", "third")]
        first = [str(row[name]) for name in ("picture", "kana", "romaji", "class")]
        table.add_row(*first, f"{row['probability']:.1%}", *others)

    yield write
    Console(highlight=False).print(table, markup=False)


@contextmanager
def _json_lines() -> Iterator[Callable[[Row], None]]:
    def write(row: Row) -> None:
        print(json.dumps({name: value for name, value in row.items() if value not in ("", None)}, ensure_ascii=False))

    yield write


@contextmanager
def _csv() -> Iterator[Callable[[Row], Any]]:
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    yield writer.writerow


@contextmanager
def _csv_file(path: Path) -> Iterator[Callable[[list[Row]], Any]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _parquet_file(path: Path) -> Iterator[Callable[[list[Row]], Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {"class": pa.int8(), **{name: pa.float32() for name in COLUMNS if name.endswith("probability")}}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
