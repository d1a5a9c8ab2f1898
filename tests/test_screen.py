"""What a person sees: lines and tables at the widths that terminals have."""

import csv
import json
import os
import pty
import sys
from io import StringIO

import pytest
from rich.console import Console

from kmnist.cli.bar import line
from kmnist.cli.printer import Printer

RUN = "7f5760338bb04e168017ada7a84ad1f5"
COLUMNS = ("study", "state", "best", "run")
ROWS = [("plain-20261124-191240", "out of time", "0.8075 (trial 10)", RUN), ("=cmd|x", "running", "-", "-")]


@pytest.mark.parametrize(
    ("width", "numbers"),
    [
        (60, "valid 95.78%"),
        (80, "valid 95.78%  best 95.90%  loss 0.123"),
        (120, "valid 95.78%  best 95.90%  loss 0.123  31,234 img/s"),
    ],
)
def test_a_line_of_progress_says_what_matters_at_every_width(width: int, numbers: str) -> None:
    of_training = ("valid 95.78%", "best 95.90%", "loss 0.123", "31,234 img/s")
    shown = line("epoch 30 of 100", of_training, "1:02:03 left", 0.3, width).plain
    assert len(shown) <= width
    assert shown.startswith("epoch 30 of 100  ━━━━━━")
    assert shown.endswith(f"━  {numbers}  1:02:03 left")


def table(width: int, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    screen, text = Printer(), StringIO()
    console = Console(file=text, width=width, force_terminal=terminal, color_system=None, highlight=False)
    monkeypatch.setattr(screen, "_console", console)
    screen.table(COLUMNS, ROWS)
    return text.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_breaks_no_word_and_no_id(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = table(width, monkeypatch, terminal=True)
    assert {*RUN.split(), *["plain-20261124-191240", "out", "of", "time", "0.8075"]} <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= width


def test_a_table_in_a_pipe_has_a_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(40, monkeypatch, terminal=False).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == [*" ".join(ROWS[0]).split()]


def test_a_table_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().table(COLUMNS, ROWS, "json")
    assert json.loads(capsys.readouterr().out)[0] == dict(zip(COLUMNS, ROWS[0]))
    Printer().table(COLUMNS, ROWS, "csv")
    read = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [row["run"] for row in read] == [RUN, ""]
    assert read[1]["study"] == "'=cmd|x"  # no spreadsheet takes it for a formula


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        console = Printer()._console
        assert console.is_terminal
        console.print(line("epoch 1 of 2", (), "0:01 left", 0.5, 60))
        terminal.flush()
        shown = os.read(ours, 4096)
    os.close(ours)
    assert "━".encode() in shown
    assert b"\x1b[3" not in shown  # no colour
