"""Who has which trial: whatever a worker writes to one goes through its claim, which is gone when another has it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from kmnist.errors import Stopped
from kmnist.tuning.definition import Budget
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.retry import wait_out
from kmnist.tuning.samplers import build_sampler
from kmnist.tuning.study import TrackedStudy


class Nothing(Enum):
    """Why a worker is given no trial."""

    YET = "all trials are taken, but one may be given up"
    LEFT = "the study is over"


class ClaimLost(Stopped):
    """A worker was silent for so long that its trial was given to another."""


@dataclass
class Claim:
    """A trial in the hands of one worker.

    A worker that was stopped, or cut off, and comes back finds its trial with another. So each of its writes looks
    first whether the claim still stands, in one step with the write, under the study's lock: nothing is reported,
    counted or ended twice.

    Attributes:
        study: that the trial is of.
        trial: Optuna's part.
        worker: id of who has it.
    """

    study: TrackedStudy
    trial: Trial
    worker: str

    @property
    def number(self) -> int:
        """Of the trial in its study."""
        return self.trial.number

    def refresh(self) -> None:
        """Read the trial anew: a connection that was cut may have written a parameter."""
        self.trial = Trial(self.study.optuna, self.trial._trial_id)

    def set(self, name: str, value: Any) -> None:
        """Write a user attribute. Like all methods it waits for a storage that is away.

        Raises:
            ClaimLost: another worker has the trial; so in all methods.
        """
        wait_out(lambda: self._set(name, value))

    def _set(self, name: str, value: Any) -> None:
        with self._held():
            self.trial.set_user_attr(name, value)

    def report(self, value: float, epoch: int) -> None:
        """Report an epoch, unless an earlier worker did. A trial that gets this far does not kill its workers."""
        wait_out(lambda: self._report(value, epoch))

    def _report(self, value: float, epoch: int) -> None:
        with self._held() as now:
            if epoch not in now.intermediate_values:
                self.trial.report(value, epoch)
                if now.user_attrs.get("deaths"):
                    self.trial.set_user_attr("deaths", 0)

    def reserve_epoch(self, number: int) -> str | None:
        """Ask for one more epoch.

        Returns:
            Why it must not be begun; ``None`` if it may.
        """
        return wait_out(lambda: self._reserve_epoch(number))

    def _reserve_epoch(self, number: int) -> str | None:
        attrs = self.study.optuna.user_attrs
        if attrs["out_of_time"]:
            return "the study's time is up"
        budget = Budget.model_validate_json(attrs["budget"])
        if not budget.max_epochs_total:
            return None
        with self._held() as now:
            if number <= now.user_attrs.get("epochs_begun", 1):
                return None  # it was counted before its worker died
            if _no_epoch_left(self.study.trials(), budget):
                return f"the study's {budget.max_epochs_total} epochs are used up"
            self.trial.set_user_attr("epochs_begun", number)
            return None

    def end(self, value: float | None, state: TrialState, reason: str = "") -> None:
        """End the trial, and give back the epoch that it asked for and, out of patience, did not begin.

        Args:
            value: the study's metric, of a COMPLETE trial.
            state: COMPLETE, PRUNED or FAIL.
            reason: for the other two, in words.
        """
        may_be: list[TrialState] = [TrialState.RUNNING]
        wait_out(lambda: self._end(value, state, reason, may_be), again=lambda: may_be.append(state))

    def _end(self, value: float | None, state: TrialState, reason: str, may_be: Sequence[TrialState]) -> None:
        with self._held(may_be) as now:
            if now.state == state:
                return  # the storage has it: only its answer was lost
            if reason:
                self.trial.set_user_attr("reason", reason[:500])
            trained = len(now.intermediate_values)
            if trained < now.user_attrs.get("epochs_begun", 1):
                self.trial.set_user_attr("epochs_begun", trained)
            self.study.optuna.tell(self.trial, value, state)

    @contextmanager
    def _held(self, may_be: Sequence[TrialState] = (TrialState.RUNNING,)) -> Iterator[FrozenTrial]:
        """The trial as it is now, which stays so within the block."""
        with self.study.lock():
            with self.study.there():
                if self.study.storage.is_file:  # a journal has the trials of a study that was deleted, too
                    self.study.storage.optuna.get_study_name_from_id(self.study.optuna._study_id)
                now = self.study.storage.optuna.get_trial(self.trial._trial_id)
            if now.state not in may_be or now.user_attrs.get("worker") != self.worker:
                raise ClaimLost(f"worker {self.worker} was silent for long: another has trial {self.number} now")
            yield now


def claim(study: TrackedStudy, session: str, worker: str, liveness: Liveness) -> Claim | Nothing:
    """Take a trial: one that its worker left unfinished, or a new one while the budget lasts.

    In one step, under the study's lock: no trial is taken twice, and no more are made than the budget allows. A trial
    that lost its worker keeps its number, its settings and its run.

    Args:
        study: to work on.
        session: whose signs of life say that the trial is being worked on.
        worker: id of who asks.
        liveness: knows the dead sessions.
    """
    with study.lock():
        trials = study.trials()
        attrs = study.optuna.user_attrs
        budget = Budget.model_validate_json(attrs["budget"])
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        for trial in running:
            if not (held := trial.user_attrs.get("session")) or liveness.is_dead(held, attrs):
                deaths = trial.user_attrs.get("deaths", 0) + bool(held)  # one that was given up did not die
                _mark(study, trial._trial_id, worker=worker, deaths=deaths, session=session)
                _aim_sampler(study, trial.number, budget)
                return Claim(study, Trial(study.optuna, trial._trial_id), worker)
        begun = [trial for trial in trials if trial.state != TrialState.WAITING]  # that somebody has enqueued
        if attrs["out_of_time"] or len(begun) >= budget.trials or _no_epoch_left(begun, budget):
            return Nothing.YET if running else Nothing.LEFT
        _aim_sampler(study, len(trials), budget)
        new = study.optuna.ask()
        _mark(study, new._trial_id, worker=worker, epochs_begun=1, session=session)
        return Claim(study, new, worker)


def release(study: TrackedStudy, worker: str, *, died: bool) -> None:
    """Give up what a worker has taken, if it has: another may go on with it."""
    with study.lock():
        for trial in study.trials(TrialState.RUNNING):
            if trial.user_attrs.get("worker") == worker:
                deaths = trial.user_attrs.get("deaths", 0) + died
                _mark(study, trial._trial_id, deaths=deaths, session="", worker="")


def _aim_sampler(study: TrackedStudy, number: int, budget: Budget) -> None:
    study.optuna.sampler = build_sampler(study.definition, budget.trials, number)


def _mark(study: TrackedStudy, trial_id: int, **attrs: str | int) -> None:
    """In this order: a process killed halfway leaves a trial whose session is the one before, or none."""
    for name, value in attrs.items():
        study.storage.optuna.set_trial_user_attr(trial_id, name, value)


def _no_epoch_left(trials: Iterable[FrozenTrial], budget: Budget) -> bool:
    begun = sum(int(trial.user_attrs.get("epochs_begun", 1)) for trial in trials)
    return 0 < budget.max_epochs_total <= begun
