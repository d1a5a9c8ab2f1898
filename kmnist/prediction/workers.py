"""Decoding in processes, in order, with a bounded number of batches in memory.

Threads are no help for small pictures: the interpreter's lock goes back and forth more often than a decoder frees it
(28 x 28 PNGs with Pillow on 2 cores: two threads 1.1 times as fast as one).

A picture that crashes its decoder, or that it does not get done with, is an error in its own row: the process ends, and
another one takes up its batch. What ends a process from outside, the system for want of memory for example, is no
fault of the picture's, which has a second chance.
"""

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from ctypes import c_int
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from kmnist.data.spec import DataSpec
from kmnist.errors import PictureError
from kmnist.pictures.read import quiet_decoders
from kmnist.prediction.decoding import Prepared, prepare
from kmnist.prediction.picture import Picture

CONTEXT = get_context("forkserver")
FEW = 4  # batches, for which a second process would not pay
AHEAD = 3  # batches in memory for each process
PROCESSOR_SECONDS = 5.0  # for a picture
CLOCK_SECONDS = 60.0  # the same where nothing is computed, because a disk or a pipe does not answer
MOST_ENDS = 5  # of processes, one after the other, that were at no picture
NOWHERE = -1  # the place of a process that is at no picture


class Decoders:
    """Processes that read pictures; for a single picture, this one.

    Args:
        batches: of pictures; as many as FEW are looked at at once.
        processes: how many.
    """

    def __init__(self, batches: Iterator[list[Picture]], processes: int) -> None:
        first = list(islice(batches, FEW))
        self._batches = chain(first, batches)
        count = processes if len(first) == FEW else int(sum(map(len, first)) > 1)
        CONTEXT.set_forkserver_preload(["kmnist.prediction.decoding"])
        self._workers = [_Worker() for _ in range(count)]  # they import while this process does so, too
        self._idle = SimpleQueue[_Worker]()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(max(count, 1))  # one waits for each

    @property
    def children(self) -> list[BaseProcess]:
        """The processes."""
        return [worker.process for worker in self._workers]

    def prepared(self, spec: DataSpec, raw: bool) -> Iterator[Prepared]:
        """All pictures, in order.

        Raises:
            PictureError: processes end before they begin.
        """
        if not self._workers:
            yield from (prepare(batch, spec, raw) for batch in self._batches)
            return
        waiting = deque[Future[Prepared]]()
        for batch in self._batches:
            waiting.append(self._threads.submit(self._prepare, batch, spec, raw))
            if len(waiting) == AHEAD * len(self._workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _prepare(self, batch: list[Picture], spec: DataSpec, raw: bool) -> Prepared:
        worker = self._idle.get()
        try:
            return worker.prepare(batch, spec, raw)
        finally:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()
        self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:  # one may have been starting
            worker.end()


class _Worker:
    """A process that prepares one batch after the other, and is replaced if it ends over one."""

    def __init__(self) -> None:
        self._over = False
        self._start()

    def prepare(self, batch: Sequence[Picture], spec: DataSpec, raw: bool) -> Prepared:
        """What the process makes of a batch, whatever it takes.

        Raises:
            PictureError: it ends before it begins.
            CancelledError: nobody waits for it any more.
        """
        left, ends = list(batch), Counter[int]()
        while not self._over:
            try:
                self._connection.send((left, spec, raw))
                found = self._connection.recv()
            except (EOFError, OSError):
                if self._over:
                    break
                place, reason, is_certain = self._end_of_process()
                ends[place] += 1
                if ends[NOWHERE] == MOST_ENDS:
                    told = f"the processes that read pictures end before they begin: each {reason}"
                    raise PictureError(told) from None
                if place != NOWHERE and (is_certain or ends[place] == 2):
                    left[place] = Picture(left[place].name, PictureError(f"decoding it {reason}"))
                self._start()
                continue
            if isinstance(found, Exception):
                raise found
            prepared: Prepared = found
            return prepared
        raise CancelledError

    def end(self) -> None:
        """At once, whatever it is doing."""
        self._over = True
        self.process.kill()
        self.process.join()

    def _start(self) -> None:
        self._connection, theirs = CONTEXT.Pipe()
        self._place: c_int = CONTEXT.RawValue(c_int, NOWHERE)
        limits = (PROCESSOR_SECONDS, CLOCK_SECONDS)
        process = CONTEXT.Process(target=_work, args=(theirs, self._place, *limits), daemon=True)
        process.start()
        self.process: BaseProcess = process
        theirs.close()  # so that the end of the process ends the connection

    def _end_of_process(self) -> tuple[int, str, bool]:
        """At which place of its batch it ended, what happened, and whether that is the picture's fault for certain."""
        self._connection.close()
        self.process.join()
        place, status = self._place.value, self.process.exitcode or 0
        if status == -signal.SIGPROF:
            return place, f"took more than {PROCESSOR_SECONDS:g} s of the processor", True
        if status == -signal.SIGALRM:
            return place, f"had no end after {CLOCK_SECONDS:g} s", True
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        return place, f"ended the process ({how})", False


def _work(connection: Connection, place: c_int, processor_seconds: float, clock_seconds: float) -> None:
    """What the process does."""
    # A terminal sends Ctrl-C to all processes; the command's own ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)  # which ends the process, whatever a decoder is doing
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_decoders()

    def begins(number: int) -> None:
        place.value = number
        limit(processor_seconds, clock_seconds)

    def limit(processor: float, clock: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, processor)
        signal.setitimer(signal.ITIMER_REAL, clock)

    with suppress(EOFError, OSError):  # the command has ended
        while True:
            batch, spec, raw = connection.recv()
            found: Prepared | Exception
            try:
                found = prepare(batch, spec, raw, begins)
            except Exception as error:
                found = error
            limit(0, 0)
            place.value = NOWHERE
            connection.send(found)


def _end_with_parent() -> None:
    """A command that was killed cannot tell its processes."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
