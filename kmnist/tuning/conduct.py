"""The command's part in a study: start workers, start them again when they die, and see the study to its end."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeAlias

from optuna.trial import FrozenTrial

from kmnist.errors import StudyError
from kmnist.tuning.sessions import Watch
from kmnist.tuning.storage import STORAGE_IS_AWAY
from kmnist.tuning.study import TrackedStudy

TICK_SECONDS = 0.5
MOST_FAILURES = 3  # of each worker, with no trial ended between them
AWAY_SECONDS = 600.0  # that the storage may be away
END_SECONDS = 30.0  # for interrupted workers to end their runs

#: Starts a worker process for (study's name, session).
Spawn: TypeAlias = Callable[[str, str], BaseProcess]


class Report(Protocol):
    """Where the study is written down, while it runs."""

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Take what the study has come to."""


class NoReport:
    """A study that is written down elsewhere."""

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Writes nothing."""


@dataclass
class _Crew:
    """The worker processes of one command."""

    study: TrackedStudy
    session: str
    spawn: Spawn
    size: int
    workers: list[BaseProcess] = field(default_factory=list)
    failures: int = 0

    def tend(self) -> bool:
        """Start what is missing, replace who died; false when all have found the study over.

        Raises:
            StudyError: workers die one after the other.
        """
        for worker in [worker for worker in self.workers if worker.exitcode is not None]:
            if worker.exitcode:
                assert worker.pid is not None
                self.study.release(self.session, worker.pid, died=worker.exitcode < 0)
                self.failures += 1
                if self.failures >= MOST_FAILURES * self.size:
                    raise StudyError(
                        f"{self.failures} workers of study {self.study.name!r} ended one after the other, the last "
                        f"with exit status {worker.exitcode}; nothing is lost: mend what they said, then go on with it"
                    )
                self.workers[self.workers.index(worker)] = self.spawn(self.study.name, self.session)
        while len(self.workers) < self.size:
            self.workers.append(self.spawn(self.study.name, self.session))
        return any(worker.exitcode is None for worker in self.workers)

    def dismiss(self) -> None:
        """End the workers as a person would who interrupts them: their runs end, their trials wait."""
        for worker in self.workers:
            if worker.is_alive():
                worker.terminate()
        deadline = time.monotonic() + END_SECONDS
        for worker in self.workers:
            worker.join(max(deadline - time.monotonic(), 0.1))
            if worker.is_alive():
                worker.kill()
                worker.join()
            assert worker.pid is not None
            self.study.release(self.session, worker.pid, died=False)


def conduct(
    study: TrackedStudy,
    session: str,
    spawn: Spawn,
    workers: int,
    *,
    open_report: Callable[[], Report],
    show: Callable[[Sequence[FrozenTrial]], None],
) -> None:
    """Work on a study until its budget is met, with ``workers`` processes.

    Args:
        study: to work on.
        session: the id of this command's.
        spawn: starts a worker.
        workers: how many at once.
        open_report: called when this command becomes the one that writes the study's own run.
        show: called with all trials, twice a second.

    Raises:
        StudyError: workers die one after the other.
        KeyboardInterrupt: after the workers have ended their runs.
    """
    watch = Watch()
    crew = _Crew(study, session, spawn, workers)
    leading: tuple[Report, _Clock] | None = None
    ended, over = 0, False
    try:
        working, answered = True, time.monotonic()
        while working:
            try:
                trials = study.trials()  # first, so that no worker is started while the storage is away
                working = crew.tend()
                if leading is None and study.lead(session, watch):
                    leading = open_report(), _Clock(study)
                if leading is not None:
                    report, clock = leading
                    clock.tick()
                    report(trials, final=False)
            except STORAGE_IS_AWAY as error:
                if time.monotonic() - answered > AWAY_SECONDS:
                    raise StudyError(f"storage {study.storage.shown} has not answered for long: {error}") from error
                time.sleep(TICK_SECONDS)
                continue
            answered = time.monotonic()
            finished = sum(trial.state.is_finished() for trial in trials)
            if finished > ended:
                crew.failures, ended = 0, finished
            show(trials)
            time.sleep(TICK_SECONDS)
        over = True
    finally:
        crew.dismiss()
        if leading is not None:
            report, clock = leading
            clock.save()
            report(study.trials(), final=over)  # who interrupts does not want to wait


class _Clock:
    """The seconds for which a study was worked on, by all its commands one after the other; ends it when time is up."""

    def __init__(self, study: TrackedStudy) -> None:
        self._study = study
        self._before = float(study.optuna.user_attrs.get("seconds", 0))
        self._started = self._saved = time.monotonic()

    def tick(self) -> None:
        """Called often by the leader."""
        now = time.monotonic()
        timeout = self._study.budget.timeout
        if (
            timeout
            and self._before + now - self._started >= timeout
            and not self._study.optuna.user_attrs["out_of_time"]
        ):
            self._study.optuna.set_user_attr("out_of_time", True)
        if now - self._saved > 10:
            self.save()

    def save(self) -> None:
        """Write the seconds down."""
        self._saved = time.monotonic()
        self._study.optuna.set_user_attr("seconds", self._before + self._saved - self._started)
