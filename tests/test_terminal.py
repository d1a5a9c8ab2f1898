"""Commands whose terminal is closed, stopped or gone, and pipes that nobody reads."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest
from mlflow import MlflowClient

from kmnist import output
from kmnist.output import Output
from tests.commands import environment
from tests.test_tune import SMALL, wait_until

# More epochs than any test waits for.
TRAIN = ["train", "--dataset", "sample", "--hidden", "16", "--epochs", "100000", "--no-diagnostics"]
TUNE = ["tune", *SMALL, "--hidden", "16", "--epochs", "100000", "--pruner", "none", "--workers", "2", "--trials", "2"]


class Terminal:
    """A terminal with a command in it, as its session's leader; whoever looks at it reads all the time.

    Args:
        command: its words.
        folder: to start it in.
        store: URI of the tracking store.
    """

    def __init__(self, command: list[str], folder: Path, store: str) -> None:
        self._screen, self.inside = pty.openpty()
        self.shown, self._closed = b"", False
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LEADER, sys.executable, "-m", "kmnist", *command],
            stdin=self.inside,
            stdout=self.inside,
            stderr=self.inside,
            cwd=folder,
            env=environment(store),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):
            while not self._closed:
                if select.select([self._screen], [], [], 0.1)[0]:
                    self.shown += os.read(self._screen, 4096)

    def stop(self) -> None:
        """Ctrl-S: it takes nothing more."""
        termios.tcflow(self.inside, termios.TCOOFF)

    def close(self) -> None:
        """As a person closes its window: the system tells all its processes."""
        self._closed = True
        self._reader.join()
        os.close(self.inside)
        os.close(self._screen)


#: Takes the terminal for its own, so that its end is told to it, and becomes the command.
_LEADER = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


@contextmanager
def in_a_terminal(command: list[str], folder: Path, store: str) -> Iterator[Terminal]:
    terminal = Terminal(command, folder, store)
    children: list[psutil.Process] = []
    try:
        yield terminal
    finally:
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        terminal.process.wait()


def statuses(store: str) -> set[str]:
    client = MlflowClient(store)
    return {run.info.status for run in client.search_runs([e.experiment_id for e in client.search_experiments()])}


def epochs(store: str) -> float:
    client = MlflowClient(store)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return max((len(client.get_metric_history(run.info.run_id, "train/loss")) for run in found), default=0)


@pytest.mark.long
@pytest.mark.parametrize("command", [TRAIN, TUNE], ids=["train", "tune"])
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_terminal_that_takes_nothing_more_holds_up_neither_training_nor_its_end(
    command: list[str], sent: signal.Signals, status: int, store: str, tmp_path: Path
) -> None:
    with in_a_terminal(command, tmp_path, store) as terminal:
        wait_until(lambda: epochs(store) > 1, 200)
        terminal.stop()
        before = epochs(store)
        wait_until(lambda: epochs(store) > before + 20, 200)
        terminal.process.send_signal(sent)
        assert terminal.process.wait(100) == status
    assert statuses(store) == {"KILLED"}


@pytest.mark.long
@pytest.mark.parametrize("command", [TRAIN, TUNE], ids=["train", "tune"])
def test_a_command_whose_terminal_is_closed_ends_its_runs(command: list[str], store: str, tmp_path: Path) -> None:
    with in_a_terminal(command, tmp_path, store) as terminal:
        wait_until(lambda: epochs(store) > 1, 200)
        children = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.close()
        terminal.process.send_signal(signal.SIGHUP)  # a shell tells its commands, too
        assert terminal.process.wait(100) == 128 + signal.SIGHUP
        wait_until(lambda: not any(child.is_running() for child in children))
    assert statuses(store) == {"KILLED"}


@pytest.mark.long
def test_nohup_is_respected(store: str, tmp_path: Path) -> None:
    command = ["train", "--dataset", "sample", "--hidden", "16", "--epochs", "40", "--no-diagnostics"]
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "kmnist", *command], cwd=tmp_path, env=environment(store), stdout=-3, stderr=-3
    )
    wait_until(lambda: epochs(store) > 1, 200)
    process.send_signal(signal.SIGHUP)
    assert process.wait(200) == 0


@pytest.fixture
def full_pipe() -> Iterator[tuple[Output, BinaryIO]]:
    """What writes to a pipe that nobody reads, and has no room left."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as reader, os.fdopen(theirs, "w") as stream:
        guarded = output._guarded(stream)
        assert guarded is not None
        os.set_blocking(theirs, False)
        with suppress(BlockingIOError):
            while True:
                os.write(theirs, b"x" * 4096)
        os.set_blocking(theirs, True)
        output.begin()
        yield guarded, reader
    output.begin()


def writing(guarded: Output) -> threading.Thread:
    thread = threading.Thread(target=guarded.write, args=("a line\n",), daemon=True)
    thread.start()
    return thread


def test_what_nobody_takes_is_dropped_at_the_end_only(full_pipe: tuple[Output, BinaryIO]) -> None:
    guarded, _ = full_pipe
    assert not guarded.takes()
    thread = writing(guarded)
    thread.join(1.5)
    assert thread.is_alive()  # a reader that is stopped may go on
    output.end()
    thread.join(60)
    assert not thread.is_alive()


def test_a_reader_that_goes_on_gets_every_line(full_pipe: tuple[Output, BinaryIO]) -> None:
    guarded, reader = full_pipe
    thread = writing(guarded)
    read = b""
    while not read.endswith(b"a line\n"):
        read += os.read(reader.fileno(), 65536)
    thread.join(60)
    assert guarded.takes()


def test_a_reader_that_is_gone_is_told_as_ever(full_pipe: tuple[Output, BinaryIO]) -> None:
    guarded, reader = full_pipe
    reader.close()
    with pytest.raises(BrokenPipeError):
        guarded.write("a line\n")


def test_a_terminal_that_is_gone_takes_everything(tmp_path: Path) -> None:
    screen, inside = pty.openpty()
    with os.fdopen(inside, "w") as stream:
        guarded = output._guarded(stream)
        assert guarded is not None
        assert guarded.isatty()
        os.close(screen)
        assert guarded.write("a line\n") == 7


def test_a_file_is_left_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        assert output._guarded(stream) is None
