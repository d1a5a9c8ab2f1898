"""The command's part in a study: see that it is worked on, count its time, and have it written down."""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from optuna.trial import FrozenTrial

from kmnist import record
from kmnist.errors import StudyError
from kmnist.experiment import Run
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.pool import Pool, Spawn
from kmnist.tuning.retry import AWAY_SECONDS, STORAGE_IS_AWAY, wait_out
from kmnist.tuning.study import TrackedStudy

TICK_SECONDS = 0.5


class Report(Protocol):
    """Where the study is written down, while it runs."""

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Take what the study has come to."""


class NoReport:
    """A study that is written down elsewhere."""

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Writes nothing."""


class ReplacedWorkers:
    """A report that also counts, in a tag, the workers that died or hung and were replaced.

    Args:
        study: that has the run, and counts those of all studies below it.
        run: that run.
        report: what else is written.
    """

    def __init__(self, study: TrackedStudy, run: Run, report: Report | None = None) -> None:
        self._study, self._run, self._report = study, run, report or NoReport()
        self._written = 0

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Write what is new."""
        self._report(trials, final=final)
        if (replaced := self._study.replaced) != self._written:
            self._run.log_tags({record.REPLACED_WORKERS: str(replaced)})
            self._written = replaced


def supervise(
    study: TrackedStudy,
    session: str,
    spawn: Spawn,
    workers: int,
    *,
    above: TrackedStudy,
    open_report: Callable[[], Report],
    show: Callable[[Sequence[FrozenTrial]], None],
    say: Callable[[str], None],
) -> None:
    """Work on a study until its budget is met, with ``workers`` workers.

    Args:
        study: to work on.
        session: the id of this command's.
        spawn: starts a worker.
        workers: how many at once.
        above: the study that counts those that are replaced.
        open_report: called when this command becomes the one that writes the study's own run.
        show: called with all trials, twice a second.
        say: told about workers that hang.

    Raises:
        StudyError: workers die one after the other, or the storage has not answered for long.
        KeyboardInterrupt: after the workers have ended their runs.
    """
    liveness = Liveness()
    leading: tuple[Report, _Clock] | None = None
    before, over = 0, False
    try:
        with Pool(study, spawn, workers, say, above) as pool:
            working, answered = True, time.monotonic()
            while working:
                try:
                    trials = study.trials()  # first, so that no worker is started while the storage is away
                    working = pool.renew()
                    if leading is None and study.lead(session, liveness):
                        leading = open_report(), _Clock(study)
                    if leading is not None:
                        report, clock = leading
                        clock.tick()
                        report(trials, final=False)
                except STORAGE_IS_AWAY as error:
                    if time.monotonic() - answered > AWAY_SECONDS:
                        raise StudyError(f"storage {study.storage.shown} has not answered for long: {error}") from error
                    liveness.forget()
                    time.sleep(TICK_SECONDS)
                    continue
                answered = time.monotonic()
                got = sum(len(trial.intermediate_values) + trial.state.is_finished() for trial in trials)
                if got > before:
                    pool.forgive()
                    before = got
                show(trials)
                time.sleep(TICK_SECONDS)
            over = True
    finally:
        if leading is not None:
            report, clock = leading
            if over:
                wait_out(clock.save)
                wait_out(lambda: report(study.trials(), final=True))
            else:  # who interrupts does not want to wait
                clock.save()
                report(study.trials(), final=False)


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
