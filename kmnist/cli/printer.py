"""What all screens share: a console, a line, and the form of a bar."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Printer:
    """Writes to standard output; a quiet one writes results only."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line, quiet or not."""
        self._console.print(line, markup=False)

    def _bar(self) -> Progress:
        """Its tasks have a description and the field ``numbers``."""
        return Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
