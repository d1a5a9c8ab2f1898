"""The line that shows how far a training or a study is, laid out for the width that the terminal has."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

MARGIN = 3  # left free: the terminal writes ^C behind the cursor, and a full line would break there
LEAST_BAR, MOST_BAR = 6, 40
GAP = "  "


class Line(ProgressColumn):
    """All of the line. What it must say comes first; of the rest, as much as fits.

    Tasks have a description and, as fields, ``numbers`` (the most important first), ``seconds`` (that the last step
    took; 0: none has ended) and ``since`` (when the step at work began; 0: steps are not told apart). Within a step
    the bar moves on by the time that the last one took, but never to the step's end.

    Args:
        console: that it is shown on.
    """

    max_refresh = None

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """The line as it is now."""
        done, total = int(task.completed), int(task.total or 0)
        seconds, since = float(task.fields["seconds"]), float(task.fields["since"])
        running = time.monotonic() - since if since else 0.0
        within = min(running / seconds, 0.95) if seconds and done < total else 0.0
        remaining = max(seconds * (total - done) - running, 0.0) if seconds else task.time_remaining
        clock = f"{duration(remaining)} left" if remaining is not None else duration(task.elapsed or 0.0)
        share = min((done + within) / total, 1.0) if total else 0.0
        head = f"{task.description} {min(done + 1, total) if since else done} of {total}"  # the one that is at work
        return line(head, task.fields["numbers"], clock, share, self._console.width - MARGIN, self._mark)

    @property
    def _mark(self) -> str:
        return "━" if self._console.encoding.startswith("utf") else "="


def line(head: str, numbers: Sequence[str], clock: str, share: float, width: int, mark: str = "━") -> Text:
    """A line of at most ``width`` characters: where it is, a bar, numbers, the time left."""
    room = width - len(head) - len(clock) - 2 * len(GAP) - LEAST_BAR
    shown: list[str] = []
    for number in numbers:
        if (room := room - len(GAP) - len(number)) < 0:
            break
        shown.append(number)
    rest = GAP.join([*shown, clock])
    size = min(max(width - len(head) - len(rest) - 2 * len(GAP), 0), MOST_BAR)
    full = round(size * share)
    text = Text(head + GAP, no_wrap=True, overflow="crop")
    text.append(mark * full, style="bar.complete").append(mark * (size - full), style="bar.back")
    return text.append(GAP + rest)


class _Bar(Progress):
    """Waits for no terminal: where there is no room for the line, it is not shown."""

    def refresh(self) -> None:
        """Show the line as it is now."""
        takes = getattr(self.console.file, "takes", None)
        if takes is None or takes():
            super().refresh()


def progress(console: Console) -> Progress:
    """A line that is renewed ten times a second, and stays as it was last."""
    return _Bar(Line(console), console=console, expand=False)


def duration(seconds: float) -> str:
    """``0:12``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
