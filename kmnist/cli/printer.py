"""What all screens share: a console, a line, a table, and the form of a bar."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from kmnist.text import for_terminal


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

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table, quiet or not; its cells are folded where the terminal is narrow."""
        table = Table(box=None, pad_edge=False)
        for name in columns:
            table.add_column(Text(name), overflow="fold")
        for row in rows:
            table.add_row(*(Text(for_terminal(cell)) for cell in row))
        self._console.print(table, soft_wrap=False)

    def _bar(self) -> Progress:
        """Its tasks have a description and the field ``numbers``."""
        return Progress(
            TextColumn("{task.description}", markup=False),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
