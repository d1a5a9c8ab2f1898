"""How answers are shown: as a table, as JSON, as CSV, in a file, or as a picture."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from kmnist.cli.printer import Printer
from kmnist.errors import PictureError
from kmnist.prediction.answers import COLUMNS, Row
from kmnist.text import for_csv, for_json, for_terminal

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
        PictureError: the file cannot be written.
    """
    writers = {".parquet": _parquet_file, ".csv": _csv_file}
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
    cells: list[list[str]] = []

    def write(row: Row) -> None:
        if row["error"]:
            cells.append([str(row["picture"]), "-", str(row["error"])])
            return
        others = [f"{row[name]} {row[f'{name}_probability']:.1%}" for name in ("second", "third")]
        first = [str(row[name]) for name in ("picture", "kana", "romaji", "class")]
        cells.append([*first, f"{row['probability']:.1%}{' unsure' if row['unsure'] else ''}", *others])

    yield write
    Printer().table(("picture", "kana", "", "class", "probability", "or", "or"), cells)


@contextmanager
def _json_lines() -> Iterator[Callable[[Row], None]]:
    def write(row: Row) -> None:
        told = {name: value for name, value in row.items() if value not in ("", None)}
        print(for_json(json.dumps(told, ensure_ascii=False)))

    yield write


@contextmanager
def _csv() -> Iterator[Callable[[Row], Any]]:
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    shown = for_terminal if sys.stdout.isatty() else str
    yield lambda row: writer.writerow(_defused(row, shown))


@contextmanager
def _csv_file(path: Path) -> Iterator[Callable[[list[Row]], Any]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        yield lambda rows: writer.writerows(_defused(row) for row in rows)


def _defused(row: Row, shown: Callable[[str], str] = str) -> Row:
    return {name: for_csv(shown(value)) if isinstance(value, str) else value for name, value in row.items()}


@contextmanager
def _parquet_file(path: Path) -> Iterator[Callable[[list[Row]], Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {name: pa.float32() for name in COLUMNS if name.endswith("probability")}
    kinds |= {"class": pa.int8(), "unsure": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
