"""``Executor``: what starts workers. What they work on is no business of its."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from kmnist.tuning.pool import Job
from kmnist.tuning.worker import Worker

#: What a worker does; it can be pickled, and gives the exit status. Interrupted, it raises ``KeyboardInterrupt``.
Work: TypeAlias = Callable[[Worker], int]


class Executor(Protocol):
    """Starts workers in processes of their own, for as long as the ``with`` block lasts."""

    @property
    def is_local(self) -> bool:
        """Whether all its workers are on this machine, and have its files."""

    @property
    def is_one_host(self) -> bool:
        """Whether its workers are at one address, where 127.0.0.1 is the same for all."""

    def room(self) -> int:
        """For how many workers at once there is a place; at least 1."""

    def start(self, work: Work, worker: Worker) -> Job:
        """Start a worker, as soon as there is a place for it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
