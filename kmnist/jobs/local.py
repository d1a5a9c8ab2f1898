"""``LocalExecutor``: workers are processes of this machine, children of the command, and end with it."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import Pipe, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NoReturn, Self

from kmnist import output
from kmnist.errors import Terminated
from kmnist.jobs.executor import Work
from kmnist.jobs.forkserver import CONTEXT
from kmnist.tuning.worker import Worker

BEAT_SECONDS = 1.0


class LocalJob:
    """A child process, heard through a pipe: a lock of the storage that it hangs with cannot keep it from being heard.

    Args:
        process: that has been started.
        heartbeats: where its signs of life arrive.
    """

    def __init__(self, process: BaseProcess, heartbeats: Connection) -> None:
        self.process, self._heartbeats = process, heartbeats
        self._ended = False

    @property
    def place(self) -> str:
        """See :class:`kmnist.tuning.pool.Job`, here and below."""
        return f"process {self.process.pid}"

    @property
    def exitcode(self) -> int | None:
        """Asked by the thread that started it only: two that wait for a child take its status from each other."""
        return self.process.exitcode

    def is_heard(self) -> bool:
        """Looks at the pipe, which its end closes, too."""
        heard = self._ended
        try:
            while not self._ended and self._heartbeats.poll():
                self._heartbeats.recv_bytes()
                heard = True
        except (EOFError, OSError):
            heard = self._ended = True
        return heard

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL, which ends a stopped process, too."""
        self.process.kill()

    def join(self, seconds: float) -> None:
        """Wait."""
        self.process.join(seconds)
        if self.process.exitcode is not None:
            self._heartbeats.close()


class LocalExecutor:
    """Processes of this machine.

    Args:
        places: for how many workers at once it has a place.
    """

    is_local = is_one_host = True

    def __init__(self, places: int = 1) -> None:
        self._places = places

    def room(self) -> int:
        """As it was told."""
        return self._places

    def start(self, work: Work, worker: Worker) -> LocalJob:
        """Fork a process that works."""
        ours, theirs = Pipe(duplex=False)
        process = CONTEXT.Process(target=_run, args=(work, worker, theirs), daemon=True)
        process.start()
        theirs.close()
        return LocalJob(process, ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Its processes have ended: the pool has seen to it."""


def _run(work: Work, worker: Worker, heartbeats: Connection) -> None:
    # A terminal tells all processes of Ctrl-C and of its end; the command's own tells us in its turn, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    output.begin()
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=_send_heartbeats, args=(heartbeats,), name="kmnist-heartbeat", daemon=True).start()
    try:
        sys.exit(work(worker))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


def _send_heartbeats(connection: Connection) -> None:
    with suppress(OSError):  # the pool is gone
        while True:
            connection.send_bytes(b".")
            time.sleep(BEAT_SECONDS)


def _terminate(signum: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second would break off the end of the run
    output.end()
    raise Terminated


def _end_with_parent() -> None:
    """A command that was killed cannot tell its workers."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
