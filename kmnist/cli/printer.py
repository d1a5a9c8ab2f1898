"""What all screens share: a console, a line, and a table."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kmnist.addresses import redact
from kmnist.cli.options import Form
from kmnist.text import for_csv, for_json, for_terminal

NONE = "-"  # a cell of what there is not; for programs it is empty
GAP = 2  # between two columns of a table


class Printer:
    """Writes to standard output; a quiet one writes results only.

    Whatever it is given is shown as it is: no markup, no escape sequences, no passwords.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line, quiet or not."""
        self._console.print(Text(for_terminal(line)))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], form: Form = "table") -> None:
        """A table, quiet or not: for a person, or as JSON or CSV for programs.

        No cell is broken, so that ids can be copied. Where a terminal is too narrow, each row becomes a block of lines;
        what is piped is as wide as it needs to be.
        """
        if form != "table":
            known = [[cell if cell != NONE else "" for cell in row] for row in rows]
            {"json": _as_json, "csv": _as_csv}[form](columns, known)
            return
        cells = [[for_terminal(cell) for cell in row] for row in rows]
        whole = sum(max(map(cell_len, column)) + GAP for column in zip(columns, *cells)) - GAP
        if not self._console.is_terminal:
            self._console.width = max(whole, self._console.width)
        elif whole > self._console.width:
            self._blocks(columns, cells)
            return
        table = Table(box=None, pad_edge=False)
        for name in columns:
            table.add_column(Text(name))
        for row in cells:
            table.add_row(*map(Text, row))
        self._console.print(table, soft_wrap=False)

    def _blocks(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        longest = max(map(len, columns))
        for row in rows:
            self._console.print(Text("\n".join(f"{name:{longest}}  {cell}" for name, cell in zip(columns, row)) + "\n"))


def _as_json(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    found = [dict(zip(columns, map(redact, row))) for row in rows]
    sys.stdout.write(f"{for_json(json.dumps(found, ensure_ascii=False))}\n")


def _as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerows([columns, *([for_csv(for_terminal(cell)) for cell in row] for row in rows)])
