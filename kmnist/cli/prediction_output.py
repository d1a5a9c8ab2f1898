"""How answers are shown: as a table, as JSON, as CSV, or in a file."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from kmnist.cli.printer import Printer
from kmnist.errors import PictureError
from kmnist.prediction.answers import COLUMNS, Columns
from kmnist.text import for_csv, for_json, for_terminal

if TYPE_CHECKING:
    import pyarrow as pa

    from kmnist.pictures.skipped import Skipped
    from kmnist.prediction.parts import Parts


def print_answers(answers: Iterable[Columns], form: Literal["table", "json", "csv"]) -> int:
    """Print each answer; gives the number of pictures that could not be read."""
    failed = 0
    with {"table": _table, "json": _json_lines, "csv": _csv}[form]() as write:
        for columns in answers:
            write(columns)
            failed += _failed(columns["error"])
    return failed


def write_answers(answers: Iterable[Columns], path: Path, parts: "Parts", skipped: "Skipped") -> int:
    """Write all answers to a .parquet or .csv file; gives the number of pictures that could not be read.

    Args:
        answers: those that are not in ``parts`` yet.
        path: of the file, which is there when all are.
        parts: where they are until then.
        skipped: which knows how many pictures are found so far.

    Raises:
        PictureError: the file cannot be written.
    """
    with tqdm(total=None, initial=parts.answered, unit=" pictures", file=sys.stderr) as bar:
        for columns in answers:
            parts.write(columns)
            bar.total = skipped.listed or None
            bar.update(len(columns["picture"]))
    failed, temporary = 0, path.with_name(f"{path.name}.tmp")
    try:
        with {".parquet": _parquet_file, ".csv": _csv_file}[path.suffix](temporary) as write:
            for table in parts.tables():
                write(table)
                failed += _failed(table.column("error").to_pylist())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PictureError(
            f"{path} cannot be written ({error}); the same command goes on where this one ended"
        ) from error
    parts.remove()
    return failed


def _failed(errors: Sequence[object]) -> int:
    return sum(map(bool, errors))


@contextmanager
def _table() -> Iterator[Callable[[Columns], None]]:
    cells: list[list[str]] = []

    def write(columns: Columns) -> None:
        for values in zip(*columns.values()):
            row = dict(zip(columns, values))
            if row["error"]:
                cells.append([str(row["picture"]), "-", str(row["error"])])
                continue
            others = [f"{row[name]} {row[f'{name}_probability']:.1%}" for name in ("second", "third")]
            first = [str(row[name]) for name in ("picture", "kana", "romaji", "class")]
            sure = " unsure" if row["unsure"] else ""
            cells.append([*first, f"{row['probability']:.1%}{sure}", *others])

    yield write
    Printer().table(("picture", "kana", "", "class", "probability", "or", "or"), cells)


@contextmanager
def _json_lines() -> Iterator[Callable[[Columns], None]]:
    def write(columns: Columns) -> None:
        for values in zip(*columns.values()):
            told = {name: value for name, value in zip(columns, values) if value not in ("", None)}
            print(for_json(json.dumps(told, ensure_ascii=False)))

    yield write


@contextmanager
def _csv() -> Iterator[Callable[[Columns], Any]]:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    shown = for_terminal if sys.stdout.isatty() else str
    yield lambda columns: writer.writerows(_defused(columns, shown))


@contextmanager
def _csv_file(path: Path) -> Iterator[Callable[["pa.Table"], Any]]:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda table: writer.writerows(_defused(table.to_pydict()))


def _defused(columns: Columns, shown: Callable[[str], str] = str) -> Iterator[tuple[object, ...]]:
    return zip(
        *([for_csv(shown(value)) if isinstance(value, str) else value for value in columns[name]] for name in COLUMNS)
    )


@contextmanager
def _parquet_file(path: Path) -> Iterator[Callable[["pa.Table"], Any]]:
    from pyarrow import parquet

    from kmnist.prediction.parts import SCHEMA

    with parquet.ParquetWriter(path, SCHEMA) as writer:
        yield writer.write_table
