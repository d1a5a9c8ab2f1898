"""Workers that die, hang, come back, or never stop: real processes whose trials cost nothing."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from kmnist.errors import StudyError
from kmnist.jobs.forkserver import CONTEXT
from kmnist.jobs.local import LocalExecutor, LocalJob
from kmnist.tuning.claims import Claim, ClaimLost, Nothing, claim
from kmnist.tuning.liveness import Liveness, Session
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, load_study
from kmnist.tuning.supervise import NoReport, Report, supervise
from kmnist.tuning.worker import Worker
from tests.postgres import Postgres
from tests.test_study import make

pytestmark = pytest.mark.long
CONTEXT.set_forkserver_preload([__name__])


def work(address: str, folder: str, habit: str, worker: Worker) -> int:
    """A worker; ``habit`` says how it is to be endured."""
    study = load_study(open_storage(address), "s")
    liveness, mark = Liveness(), Path(folder) / "once"
    while (taken := claim(study, worker.command, worker.id, liveness)) is not Nothing.LEFT:
        if not isinstance(taken, Claim):
            time.sleep(0.05)
            continue
        if habit == "always fails":
            raise SystemExit(3)
        if habit.endswith("once") and taken.number == 1 and not mark.exists():
            mark.touch()
            if habit == "dies once":
                os.kill(os.getpid(), signal.SIGKILL)
            if habit == "stops once":
                os.kill(os.getpid(), signal.SIGSTOP)
            if habit == "takes a lock and stops once":
                with study.lock():
                    os.kill(os.getpid(), signal.SIGSTOP)
        try:
            _train(taken, habit)
        except ClaimLost:
            (Path(folder) / "lost").touch()
    return 0


def _train(taken: Claim, habit: str) -> None:
    suggest(taken.trial, taken.study.definition)
    if habit == "ends after each epoch" and (done := len(taken.trial._get_latest_trial().intermediate_values)) < 6:
        taken.report(0.5, done + 1)
        time.sleep(1)  # for the command to see it
        raise SystemExit(3)
    for epoch in range(1, 1000 if habit == "never ends" else 3):
        taken.report(0.5, epoch)
        if habit in ("never ends", "takes its time"):
            time.sleep(0.05)
        if habit == "has a long epoch" and epoch == 1:
            time.sleep(4)
        if taken.reserve_epoch(epoch + 1):
            taken.end(None, TrialState.PRUNED)
            return
    taken.end(0.5, TrialState.COMPLETE)


class Workers:
    """Spawns workers of one habit."""

    def __init__(self, study: TrackedStudy, folder: Path, habit: str) -> None:
        self.study, self.folder, self.habit = study, folder, habit
        self.spawned: list[LocalJob] = []
        self.said: list[str] = []

    def start(self, worker: Worker) -> LocalJob:
        habit = partial(work, self.study.storage.shown, str(self.folder), self.habit)
        self.spawned.append(LocalExecutor().start(habit, worker))
        return self.spawned[-1]


class Finals:
    """Remembers whether the last report was the final one."""

    final = False

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        self.final = final


def run(workers: Workers, size: int = 1, report: Report | None = None) -> None:
    with Session(workers.study.optuna) as session:
        supervise(
            workers.study,
            session.id,
            lambda worker, place: workers.start(Worker(worker, session.id)),
            size,
            above=workers.study,
            open_report=lambda: report or NoReport(),
            show=lambda trials: None,
            say=workers.said.append,
        )


def test_a_worker_that_dies_is_replaced_and_its_trial_taken_up(tmp_path: Path) -> None:
    workers = Workers(make(str(tmp_path / "s.log"), trials=4), tmp_path, "dies once")
    finals = Finals()
    run(workers, 1, finals)
    trials = workers.study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert [trial.user_attrs.get("deaths", 0) for trial in trials] == [0] * 4  # it has made an epoch since
    assert len(workers.spawned) == 2
    assert finals.final
    [line] = workers.said
    assert line.endswith("died (exit status -9): another has taken its place, and goes on with its trial")
    assert workers.study.replaced == 1


@pytest.mark.parametrize("habit", ["stops once", "takes a lock and stops once"])
def test_a_worker_that_hangs_is_killed_and_replaced_and_that_is_said(
    habit: str, study_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tuning.pool.SILENT_SECONDS", 3.0)
    workers = Workers(make(study_address, trials=4), tmp_path, habit)
    run(workers, 2)
    trials = workers.study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert [trial.user_attrs.get("deaths", 0) for trial in trials] == [0] * 4  # it has made an epoch since
    assert len(workers.spawned) == 3
    [line] = workers.said
    assert line.endswith("no sign of life for 3 seconds: it is killed, and another goes on with its trial")
    assert workers.study.replaced == 1


def test_a_long_epoch_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmnist.tuning.pool.SILENT_SECONDS", 2.5)
    workers = Workers(make(str(tmp_path / "s.log"), trials=1), tmp_path, "has a long epoch")
    run(workers)
    assert (len(workers.spawned), workers.said, workers.study.replaced) == (1, [], 0)


def test_workers_that_die_one_after_the_other_end_the_command_not_the_study(tmp_path: Path) -> None:
    workers = Workers(make(str(tmp_path / "s.log"), trials=4), tmp_path, "always fails")
    with pytest.raises(
        StudyError, match="3 workers of study 's' ended one after the other, the last with exit status 3"
    ):
        run(workers)
    assert len(workers.spawned) == 3
    assert [trial.state for trial in workers.study.trials()] == [TrialState.RUNNING]
    workers.habit = "works"
    run(workers)
    assert [trial.state for trial in workers.study.trials()] == [TrialState.COMPLETE] * 4


def test_a_worker_that_wakes_up_when_another_has_its_trial_does_no_harm(study_address: str, tmp_path: Path) -> None:
    workers = Workers(make(study_address, trials=2), tmp_path, "stops once")
    process = workers.start(Worker("stopped", "a command that the others take for dead")).process
    while not process.pid or psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.05)
    with Session(workers.study.optuna) as session:
        taken = claim(workers.study, session.id, "new", Liveness())
        assert isinstance(taken, Claim)
        taken.report(0.1, 1)
        os.kill(process.pid, signal.SIGCONT)
        process.join(1)
        assert process.exitcode is None  # it waits: the trial may be given up again
        taken.end(0.1, TrialState.COMPLETE)
    process.join()
    assert process.exitcode == 0
    assert (tmp_path / "lost").exists()
    assert [trial.intermediate_values for trial in workers.study.trials()] == [{1: 0.5, 2: 0.5}, {1: 0.1}]


def test_a_database_that_restarts_and_workers_that_are_killed_end_neither_command_nor_study(
    postgres: Postgres, tmp_path: Path
) -> None:
    workers = Workers(make(postgres.create_database("restarted"), trials=40), tmp_path, "takes its time")

    def wait_for(complete: int) -> None:
        while len(workers.study.trials(TrialState.COMPLETE)) < complete:
            time.sleep(0.1)

    def disturb() -> None:
        wait_for(3)
        workers.spawned[-1].kill()
        postgres.stop("immediate")
        time.sleep(1)
        workers.spawned[0].kill()
        postgres.start()
        wait_for(10)
        workers.spawned[-1].kill()

    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    run(workers, 2)
    disturbing.join()
    trials = workers.study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 40
    assert [trial.intermediate_values for trial in trials] == [{1: 0.5, 2: 0.5}] * 40
    assert len(workers.spawned) > 3


def test_thirty_two_workers_lose_no_trial_and_make_none_twice(study_address: str, tmp_path: Path) -> None:
    workers = Workers(make(study_address, trials=160), tmp_path, "works")
    run(workers, 32)
    trials = workers.study.trials()
    assert [trial.number for trial in trials] == list(range(160))
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 160
    assert [trial.intermediate_values for trial in trials] == [{1: 0.5, 2: 0.5}] * 160
    assert len({trial.params["learning_rate"] for trial in trials}) == 160
    assert (len(workers.spawned), workers.said) == (32, [])


def test_time_is_counted_over_commands_and_ends_what_runs(tmp_path: Path) -> None:
    workers = Workers(make(str(tmp_path / "s.log"), trials=50, timeout=100), tmp_path, "never ends")
    workers.study.optuna.set_user_attr("seconds", 97.0)  # of earlier commands
    finals = Finals()
    run(workers, 1, finals)
    [trial] = workers.study.trials()
    assert (trial.state, trial.intermediate_values[1]) == (TrialState.PRUNED, 0.5)
    assert workers.study.optuna.user_attrs["seconds"] >= 100
    assert finals.final


def test_an_epoch_forgives_what_failed_before(tmp_path: Path) -> None:
    study = make(str(tmp_path / "s.log"), trials=1)
    workers = Workers(study, tmp_path, "ends after each epoch")
    run(workers)
    assert [trial.state for trial in study.trials()] == [TrialState.COMPLETE]
    assert len(workers.spawned) == 7
