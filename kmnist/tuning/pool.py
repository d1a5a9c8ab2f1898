"""The worker processes of one command: started, replaced when they die or hang, and ended.

A worker that lives says so every second through a pipe, from a thread of its own: an epoch may take an hour. One that
says nothing for a minute is stopped, or hangs with its interpreter, and is killed: from there on it is one that died.
"""

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeAlias

from kmnist.errors import StudyError
from kmnist.tuning.claims import release
from kmnist.tuning.study import TrackedStudy

BEAT_SECONDS = 1.0
SILENT_SECONDS = 60.0  # without a sign of life: then a worker hangs
END_SECONDS = 30.0  # for interrupted workers to end their runs
MOST_FAILURES = 3  # of each worker, with no trial ended between them

#: Starts a worker process: (study's name, session, worker's id, where to it sends its signs of life).
Spawn: TypeAlias = Callable[[str, str, str, Connection], BaseProcess]


def send_heartbeats(connection: Connection) -> None:
    """In a worker: give signs of life, for as long as this process runs and somebody listens."""

    def send() -> None:
        with suppress(OSError):  # the pool is gone
            while True:
                connection.send_bytes(b".")
                time.sleep(BEAT_SECONDS)

    threading.Thread(target=send, name="kmnist-heartbeat", daemon=True).start()


@dataclass
class _Worker:
    """A worker process, as its pool sees it."""

    id: str
    process: BaseProcess
    heartbeats: Connection
    heard: float = field(default_factory=time.monotonic)
    given_up: bool = False

    def hangs(self) -> bool:
        """Whether it lives, but has been silent for too long; told once. Listens to what it has sent."""
        try:
            while self.heartbeats.poll():
                self.heartbeats.recv_bytes()
                self.heard = time.monotonic()
        except (EOFError, OSError):  # it has ended; to ask the process itself is for one thread only
            self.given_up = True
        silent = time.monotonic() - self.heard > SILENT_SECONDS
        self.given_up, told = self.given_up or silent, self.given_up
        return silent and not told


class Pool:
    """The workers of one command on a study, for as long as the ``with`` block lasts; interrupted at its end.

    Args:
        study: to work on.
        session: id of the command's.
        spawn: starts a worker.
        size: how many workers.
        say: told about what hangs.
    """

    def __init__(self, study: TrackedStudy, session: str, spawn: Spawn, size: int, say: Callable[[str], None]) -> None:
        self._study, self._session, self._spawn, self._size, self._say = study, session, spawn, size, say
        self._workers: list[_Worker] = []
        self._failures = 0
        self._ended = threading.Event()
        # A thread of its own: a worker that hangs with a lock of the storage holds up all who need the storage.
        self._listener = threading.Thread(target=self._listen, name="kmnist-pool", daemon=True)

    def renew(self) -> bool:
        """Start what is missing, replace who died; false when all have found the study over.

        Raises:
            StudyError: workers die one after the other.
        """
        for place, worker in enumerate(self._workers):
            if status := worker.process.exitcode:
                release(self._study, worker.id, died=status < 0)
                self._failures += 1
                if self._failures >= MOST_FAILURES * self._size:
                    raise StudyError(
                        f"{self._failures} workers of study {self._study.name!r} ended one after the other, the last "
                        f"with exit status {status}; nothing is lost: mend what they said, then go on with it"
                    )
                self._workers[place] = self._start()
        while len(self._workers) < self._size:
            self._workers.append(self._start())
        return any(worker.process.exitcode is None for worker in self._workers)

    def forgive(self) -> None:
        """A trial has ended: what failed before was not the study's fault."""
        self._failures = 0

    def _start(self) -> _Worker:
        identity = uuid.uuid4().hex[:12]
        ours, theirs = Pipe(duplex=False)
        process = self._spawn(self._study.name, self._session, identity, theirs)
        theirs.close()
        return _Worker(identity, process, ours)

    def _listen(self) -> None:
        looked = time.monotonic()
        while not self._ended.wait(BEAT_SECONDS):
            stood_still = time.monotonic() - looked - BEAT_SECONDS  # this process itself: it could not hear
            looked = time.monotonic()
            for worker in list(self._workers):
                worker.heard += stood_still
                if worker.hangs():
                    self._say(
                        f"worker {worker.id} (process {worker.process.pid}) has given no sign of life for "
                        f"{SILENT_SECONDS:g} seconds: it is killed, and another goes on with its trial"
                    )
                    worker.process.kill()

    def __enter__(self) -> "Pool":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers as a person would who interrupts them: their runs end, their trials wait."""
        self._ended.set()
        self._listener.join()
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0.1))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.heartbeats.close()
        for worker in self._workers:
            release(self._study, worker.id, died=False)
