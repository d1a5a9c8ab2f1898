"""The commands as a user types them, in this process or in one of their own."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kmnist.cli.main import main
from kmnist.data.load import DATASETS
from tests.nets import drawn_images


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it wrote."""

    returncode: object
    stdout: str
    stderr: str


Command = Callable[..., Done]


def environment(store: str) -> dict[str, str]:
    return {**os.environ, "MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture
def kmnist_command(store: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Runs ``kmnist`` in this process, in an empty folder with a tracking store of its own: it need not start anew."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(DATASETS, "sample", lambda folder, progress: drawn_images())
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["kmnist", *arguments])
        capfd.readouterr()
        try:
            main()
            status: object = 0
        except SystemExit as ended:
            status = ended.code or 0
        return Done(status, *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
