"""Workers that die, come back, or never stop: real processes whose trials cost nothing."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from kmnist.errors import StudyError
from kmnist.tuning.conduct import NoReport, Report, conduct
from kmnist.tuning.sessions import Session, Watch
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import Nothing, TrackedStudy, load_study
from tests.postgres import Postgres
from tests.test_study import make

pytestmark = pytest.mark.slow


def crew_member(address: str, folder: str, session: str, habit: str) -> None:
    """A worker; ``habit`` says how it is to be endured."""
    study = load_study(open_storage(address), "s")
    watch, mark = Watch(), Path(folder) / "died once"
    while (taken := study.claim(session, os.getpid(), watch)) is not Nothing.LEFT:
        if not isinstance(taken, Trial):
            time.sleep(0.05)
            continue
        if habit == "always fails":
            raise SystemExit(3)
        if habit == "dies once" and taken.number == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for epoch in range(1, 1000 if habit == "never ends" else 3):
            taken.report(0.5, epoch)
            if habit in ("never ends", "takes its time"):
                time.sleep(0.05)
            if study.reserve_epoch(taken, epoch + 1):
                study.end(taken, None, TrialState.PRUNED)
                break
        else:
            study.end(taken, 0.5, TrialState.COMPLETE)


class Crew:
    """Spawns workers of one habit."""

    def __init__(self, study: TrackedStudy, folder: Path, habit: str) -> None:
        self.study, self.folder, self.habit = study, folder, habit
        self.spawned: list[BaseProcess] = []

    def __call__(self, name: str, session: str) -> BaseProcess:
        arguments = (self.study.storage.shown, str(self.folder), session, self.habit)
        self.spawned.append(get_context("spawn").Process(target=crew_member, args=arguments, daemon=True))
        self.spawned[-1].start()
        return self.spawned[-1]


class Finals:
    """Remembers whether the last report was the final one."""

    final = False

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        self.final = final


def run(crew: Crew, workers: int = 1, report: Report | None = None) -> None:
    with Session(crew.study.optuna) as session:
        conduct(
            crew.study, session.id, crew, workers, open_report=lambda: report or NoReport(), show=lambda trials: None
        )


def test_a_worker_that_dies_is_replaced_and_its_trial_taken_up(tmp_path: Path) -> None:
    crew = Crew(make(str(tmp_path / "s.log"), trials=4), tmp_path, "dies once")
    finals = Finals()
    run(crew, 1, finals)
    trials = crew.study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert [trial.user_attrs.get("deaths", 0) for trial in trials] == [0, 1, 0, 0]
    assert len(crew.spawned) == 2
    assert finals.final


def test_workers_that_die_one_after_the_other_end_the_command_not_the_study(tmp_path: Path) -> None:
    crew = Crew(make(str(tmp_path / "s.log"), trials=4), tmp_path, "always fails")
    with pytest.raises(
        StudyError, match="3 workers of study 's' ended one after the other, the last with exit status 3"
    ):
        run(crew)
    assert len(crew.spawned) == 3
    assert [trial.state for trial in crew.study.trials()] == [TrialState.RUNNING]
    crew.habit = "works"
    run(crew)
    assert [trial.state for trial in crew.study.trials()] == [TrialState.COMPLETE] * 4


def test_a_database_that_restarts_ends_neither_command_nor_study(postgres: Postgres) -> None:
    address = postgres.create_database("restarted")
    crew = Crew(make(address, trials=40), Path("unused"), "takes its time")

    def restart() -> None:
        while len(crew.study.trials(TrialState.COMPLETE)) < 3:
            time.sleep(0.1)
        postgres.stop("immediate")
        time.sleep(1)
        postgres.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    run(crew, 2)
    restarting.join()
    assert [trial.state for trial in crew.study.trials()] == [TrialState.COMPLETE] * 40
    assert len(crew.spawned) > 2


def test_time_is_counted_over_commands_and_ends_what_runs(tmp_path: Path) -> None:
    crew = Crew(make(str(tmp_path / "s.log"), trials=50, timeout=100), tmp_path, "never ends")
    crew.study.optuna.set_user_attr("seconds", 97.0)  # of earlier commands
    finals = Finals()
    run(crew, 1, finals)
    [trial] = crew.study.trials()
    assert (trial.state, trial.intermediate_values[1]) == (TrialState.PRUNED, 0.5)
    assert crew.study.optuna.user_attrs["seconds"] >= 100
    assert finals.final
