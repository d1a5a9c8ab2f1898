"""Decoding in processes, in order, with a bounded number of batches in memory.

Threads are no help for small pictures: the interpreter's lock goes back and forth more often than a decoder frees it
(28 x 28 PNGs with Pillow on 2 cores: two threads 1.1 times as fast as one).
"""

import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Self

from kmnist.errors import PictureError
from kmnist.prediction.decoding import Prepared, prepare
from kmnist.prediction.picture import Picture

CONTEXT = get_context("forkserver")
_over: Event | None = None  # in these processes: set when nobody waits any more for what they do
FEW = 4  # batches, for which to start a process would not pay
AHEAD = 3  # batches in memory for each process


class Decoders:
    """Processes that read pictures, or this one if there are few.

    Args:
        batches: of pictures; as many as FEW are looked at at once.
        processes: how many.

    Attributes:
        children: these processes.
    """

    def __init__(self, batches: Iterator[list[Picture]], processes: int) -> None:
        first = list(islice(batches, FEW))
        self._batches = chain(first, batches)
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._over = CONTEXT.Event()
        self.children: list[BaseProcess] = []
        if processes > 1 and len(first) == FEW:
            before = {child.pid for child in active_children()}
            CONTEXT.set_forkserver_preload(["kmnist.prediction.decoding"])
            self._pool = ProcessPoolExecutor(processes, CONTEXT, _begin, (self._over,))
            for _ in range(processes):  # they import while this process does so, too
                self._pool.submit(os.getpid)
            self.children = [child for child in active_children() if child.pid not in before]

    def prepared(self, shape: tuple[int, int], raw: bool) -> Iterator[Prepared]:
        """All pictures, in order.

        Raises:
            PictureError: a process was ended.
        """
        work = partial(prepare, shape=shape, raw=raw)
        if self._pool is None:
            yield from map(work, self._batches)
            return
        waiting: deque[tuple[list[Picture], Future[Prepared]]] = deque()
        try:
            for batch in self._batches:
                waiting.append((batch, self._pool.submit(_unless_over, work, batch)))
                if len(waiting) == AHEAD * self._processes:
                    yield waiting.popleft()[1].result()
            while waiting:
                yield waiting.popleft()[1].result()
        except BrokenProcessPool:
            names = f"{waiting[0][0][0].name} and those after it" if waiting else "the last ones"
            raise PictureError(
                f"a process that read pictures was ended, at {names}: by the system for want of memory, or by a "
                "picture that its decoder does not bear; --workers 1 shows which"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        if self._pool is not None:
            # To terminate them would leave whoever was writing to one waiting for ever
            # (https://github.com/python/cpython/issues/94777): they end after the batch that they are at.
            self._over.set()
            self._pool.shutdown(cancel_futures=True)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quiet_decoders() -> None:
    """Pillow and numpy warn of what they can read all the same."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", "Reading `.npy` or `.npz`")


def _unless_over(work: Callable[[list[Picture]], Prepared], batch: list[Picture]) -> Prepared:
    if _over is not None and _over.is_set():
        raise CancelledError
    return work(batch)


def _begin(over: Event) -> None:
    global _over
    _over = over
    # A terminal sends Ctrl-C to all processes; the command's own ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet_decoders()


def _end_with_parent() -> None:
    """A command that was killed cannot tell its processes."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)
