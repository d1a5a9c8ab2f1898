"""The workers of one command: started, replaced when they die or hang, and ended, wherever they are.

A worker that lives gives signs of life, from a thread of its own: an epoch may take an hour. One that gives none for a
minute is stopped, or hangs with its interpreter, and is killed: from there on it is one that died.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from kmnist.errors import StudyError
from kmnist.tuning.claims import release
from kmnist.tuning.liveness import new_id
from kmnist.tuning.study import TrackedStudy

LISTEN_SECONDS = 1.0
SILENT_SECONDS = 60.0  # without a sign of life: then a worker hangs
END_SECONDS = 30.0  # for interrupted workers to end their runs
MOST_FAILURES = 3  # of each worker, with no epoch ended between them


class Job(Protocol):
    """A worker at work in a process of its own, on this machine or another. Asked by two threads at once."""

    @property
    def place(self) -> str:
        """Where it is, in words, for example ``process 4711``."""

    @property
    def exitcode(self) -> int | None:
        """0: it found nothing left to do; below 0: it died; ``None``: it has not ended."""

    def is_heard(self) -> bool:
        """Whether it has given a sign of life since this was asked last; true, too, before it begins and at its end."""

    def terminate(self) -> None:
        """Interrupt it: it gives up its trial, and ends its run."""

    def kill(self) -> None:
        """End it without a word. It counts as ended from now on, even where it cannot be reached."""

    def join(self, seconds: float) -> None:
        """Wait for its end, but no longer than that."""


#: Starts a worker: (its id, which of the pool's places it has: 0, 1, ...).
Spawn: TypeAlias = Callable[[str, int], Job]


@dataclass
class _Worker:
    """A worker, as its pool sees it."""

    id: str
    job: Job
    heard: float = field(default_factory=time.monotonic)
    given_up: bool = False

    def hangs(self) -> bool:
        """Whether it has been silent for too long; told once."""
        if self.job.is_heard():
            self.heard = time.monotonic()
        silent = time.monotonic() - self.heard > SILENT_SECONDS
        self.given_up, told = self.given_up or silent, self.given_up
        return silent and not told


class Pool:
    """The workers of one command on a study, for as long as the ``with`` block lasts; interrupted at its end.

    Args:
        study: to work on.
        spawn: starts a worker.
        size: how many workers.
        say: told about what hangs and what is replaced.
        above: the study that counts who is replaced.
    """

    def __init__(
        self, study: TrackedStudy, spawn: Spawn, size: int, say: Callable[[str], None], above: TrackedStudy
    ) -> None:
        self._study, self._spawn, self._size, self._say, self._above = study, spawn, size, say, above
        self._workers: list[_Worker] = []
        self._failures = 0
        self._uncounted = 0  # who was replaced; the storage may be away just then
        self._ended = threading.Event()
        # A thread of its own: a worker that hangs with a lock of the storage holds up all who need the storage.
        self._listener = threading.Thread(target=self._listen, name="kmnist-pool", daemon=True)

    def renew(self) -> bool:
        """Start what is missing, replace who died; false when all have found the study over.

        Raises:
            StudyError: workers die one after the other.
        """
        for place, worker in enumerate(self._workers):
            if status := worker.job.exitcode:
                release(self._study, worker.id, died=status < 0)
                self._failures += 1
                if self._failures >= MOST_FAILURES * self._size:
                    raise StudyError(
                        f"{self._failures} workers of study {self._study.name!r} ended one after the other, the last "
                        f"with exit status {status}; nothing is lost: mend what they said, then go on with it"
                    )
                self._workers[place] = self._start(place)
                self._uncounted += 1
                if not worker.given_up:  # of that it has been told
                    self._say(
                        f"worker {worker.id} ({worker.job.place}) {'died' if status < 0 else 'ended'} (exit status "
                        f"{status}): another has taken its place, and goes on with its trial"
                    )
        while len(self._workers) < self._size:
            self._workers.append(self._start(len(self._workers)))
        if self._uncounted:
            self._above.add_replaced(self._uncounted)
            self._uncounted = 0
        return any(worker.job.exitcode is None for worker in self._workers)

    def forgive(self) -> None:
        """An epoch or a trial has ended: what failed before was not the study's fault."""
        self._failures = 0

    def _start(self, place: int) -> _Worker:
        identity = new_id()
        return _Worker(identity, self._spawn(identity, place))

    def _listen(self) -> None:
        looked = time.monotonic()
        while not self._ended.wait(LISTEN_SECONDS):
            stood_still = time.monotonic() - looked - LISTEN_SECONDS  # this process itself: it could not hear
            looked = time.monotonic()
            for worker in list(self._workers):
                worker.heard += stood_still
                if worker.hangs():
                    self._say(
                        f"worker {worker.id} ({worker.job.place}) has given no sign of life for "
                        f"{SILENT_SECONDS:g} seconds: it is killed, and another goes on with its trial"
                    )
                    worker.job.kill()

    def __enter__(self) -> "Pool":
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers as a person would who interrupts them: their runs end, their trials wait."""
        self._ended.set()
        self._listener.join()
        for worker in self._workers:
            if worker.job.exitcode is None:
                worker.job.terminate()
        deadline = time.monotonic() + END_SECONDS
        for worker in self._workers:
            worker.job.join(max(deadline - time.monotonic(), 0.1))
            if worker.job.exitcode is None:
                worker.job.kill()
                worker.job.join(END_SECONDS)
        for worker in self._workers:
            release(self._study, worker.id, died=False)
