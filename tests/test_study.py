"""Who may take which trial: budgets, deaths and leaders, on a file and on PostgreSQL. Nothing is trained."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna import Trial
from optuna.trial import TrialState

from kmnist.errors import SettingError, StudyError
from kmnist.tuning.definition import parse
from kmnist.tuning.sessions import PREFIX, Session, Watch
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import Nothing, TrackedStudy, all_studies, create_study, find_study, load_study, same_or_error

DATA = {"dataset": "sample", "train SHA-256": "0" * 64}


def make(address: str, name: str = "s", **given: Any) -> TrackedStudy:
    definition, budget = parse({"epochs": 9, "sampler": "random", "search": {"learning_rate": None}, **given})
    return create_study(open_storage(address), name, definition, budget, DATA)


def take(study: TrackedStudy, session: str = "mine", watch: Watch | None = None) -> Trial:
    taken = study.claim(session, 1, watch or Watch())
    assert isinstance(taken, Trial)
    return taken


def test_a_study_has_exactly_the_trials_of_its_budget(study_address: str) -> None:
    study = make(study_address, trials=3)
    with Session(study.optuna) as session:
        trials = [take(study, session.id) for _ in range(3)]
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert study.claim(session.id, 1, Watch()) is Nothing.YET  # one of them may yet be given up
        for trial in trials:
            study.optuna.tell(trial, 0.5)
        assert study.claim(session.id, 1, Watch()) is Nothing.LEFT
        study.set_budget(study.budget.model_copy(update={"trials": 4}))
        assert take(study, session.id).number == 3


def test_a_trial_of_a_dead_session_is_taken_up_again_as_it_is(study_address: str) -> None:
    study = make(study_address, trials=2)
    with Session(study.optuna) as session:
        first = take(study, session.id)
        rate = first.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        first.report(0.5, 1)
        assert take(study, session.id).number == 1  # the first one is in good hands
    other = load_study(open_storage(study_address), "s")
    with Session(other.optuna) as session:
        again = take(other, session.id)
        assert (again.number, again.user_attrs["deaths"]) == (0, 1)
        assert again.suggest_float("learning_rate", 1e-4, 1e-2, log=True) == rate
        assert other.trials()[0].intermediate_values == {1: 0.5}


def test_a_trial_that_was_given_up_is_not_counted_as_a_death(study_address: str) -> None:
    study = make(study_address, trials=1)
    with Session(study.optuna) as session:
        take(study, session.id)
        study.release(session.id, worker=2, died=True)  # another worker's end
        assert study.claim(session.id, 1, Watch()) is Nothing.YET
        study.release(session.id, worker=1, died=False)
        assert take(study, session.id).user_attrs["deaths"] == 0
        study.release(session.id, worker=1, died=True)
        assert take(study, session.id).user_attrs["deaths"] == 1


def test_a_session_killed_without_a_word_is_seen_at_once_on_its_own_machine(tmp_path: Path) -> None:
    address = str(tmp_path / "studies.log")
    study = make(address, trials=2)
    code = f"""
import os, signal
from kmnist.tuning.sessions import Session, Watch
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import load_study
study = load_study(open_storage({address!r}), "s")
with Session(study.optuna) as session:
    study.claim(session.id, os.getpid(), Watch())
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Session(study.optuna) as session:
        assert take(study, session.id).number == 0


def test_a_silent_session_on_another_machine_is_dead_after_a_while_of_our_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "studies.log"))
    record = {"host": "elsewhere", "pid": 1, "started": 0.0, "beat": 7}
    study.optuna.set_user_attr(PREFIX + "far", record)
    now = time.monotonic()
    watch = Watch()

    def dead_after(seconds: float) -> bool:
        monkeypatch.setattr("kmnist.tuning.sessions.time.monotonic", lambda: now + seconds)
        return watch.is_dead("far", study.optuna.user_attrs)

    assert not dead_after(0)
    assert not dead_after(59)
    study.optuna.set_user_attr(PREFIX + "far", {**record, "beat": 8})
    assert not dead_after(61)  # it gave a sign
    assert not dead_after(120)
    assert dead_after(122)
    assert watch.is_dead("never heard of", study.optuna.user_attrs)


def test_epochs_are_counted_over_all_trials_and_never_exceeded(study_address: str) -> None:
    study = make(study_address, trials=50, max_epochs_total=10)
    with Session(study.optuna) as session:
        first, second = take(study, session.id), take(study, session.id)
        assert [study.reserve_epoch(first, number) for number in (2, 3, 4, 5)] == [None] * 4
        assert [study.reserve_epoch(second, number) for number in (2, 3, 4, 5)] == [None] * 4
        assert study.reserve_epoch(first, 6) == "the study's 10 epochs are used up"
        assert study.reserve_epoch(second, 5) is None  # counted already: it is done again after a death
        assert study.claim(session.id, 1, Watch()) is Nothing.YET
        study.optuna.tell(first, 0.1)
        study.optuna.tell(second, 0.1)
        assert study.claim(session.id, 1, Watch()) is Nothing.LEFT


def test_one_command_leads_and_another_follows_when_it_is_gone(study_address: str) -> None:
    study = make(study_address)
    with Session(study.optuna) as first:
        assert study.lead(first.id, Watch())
        with Session(study.optuna) as second:
            assert not study.lead(second.id, Watch())
            assert study.lead(first.id, Watch())
    with Session(study.optuna) as third:
        assert study.lead(third.id, Watch())


def test_a_study_that_differs_is_refused_and_the_message_says_how(study_address: str) -> None:
    study = make(study_address)
    make(study_address)  # the same again is the same
    with pytest.raises(StudyError, match=r"study 's' exists and differs \(pruner: hyperband there, none here\)"):
        make(study_address, pruner="none")
    with pytest.raises(StudyError, match="train SHA-256: 0000"):
        same_or_error(study, study.definition, {**DATA, "train SHA-256": "1" * 64})


def test_a_grid_ends_with_its_last_point_and_cannot_be_cut(study_address: str) -> None:
    search = {"learning_rate": [0.1, 0.01], "batch_size": [64, 128]}
    study = make(study_address, sampler="grid", search=search, trials=50)
    assert study.budget.trials == 4
    with pytest.raises(SettingError, match=r"the grid has 4 points .* trials=3: give --trials 4"):
        study.set_budget(study.budget.model_copy(update={"trials": 3}))
    with Session(study.optuna) as session:
        for _ in range(4):
            trial = take(study, session.id)
            suggest(trial, study.definition)
            study.end(trial, 0.5, TrialState.COMPLETE)
        assert study.claim(session.id, 1, Watch()) is Nothing.LEFT
    assert len({str(trial.params) for trial in study.trials()}) == 4


def test_names(study_address: str) -> None:
    storage = open_storage(study_address)
    make(study_address, "one")
    optuna.create_study(storage=storage.optuna, study_name="foreign").add_trial(optuna.trial.create_trial(value=1.0))
    assert [study.name for study in all_studies(storage)] == ["one"]
    assert find_study(storage, "two") is None
    with pytest.raises(StudyError, match=r"there is no study 'two' in .*; there are: foreign, one"):
        load_study(storage, "two")
    with pytest.raises(StudyError, match="was not made by `kmnist tune`"):
        make(study_address, "foreign")
    with pytest.raises(StudyError, match="a name has letters"):
        make(study_address, "it's")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite:///studies.db", "name a file .* or PostgreSQL"),
        ("redis://localhost", "must be the path of a file or postgresql://"),
        ("postgresql://me:secret@127.0.0.1:1/studies", r"me:\*\*\*@127.0.0.1:1/studies does not answer: .*refused"),
        ("/proc/studies.log", "cannot be used"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told(address: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as told:
        open_storage(address)
    assert "secret" not in str(told.value)


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a study\nat all\n")
    with pytest.raises(StudyError, match="is not a file of studies"):
        open_storage(str(tmp_path / "notes.txt"))


def test_half_a_record_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "studies.log"
    with Session(make(str(path), trials=5).optuna) as session:
        take(make(str(path), trials=5), session.id)
        with path.open("ab") as file:
            file.write(b'{"op_code": 5, "trial')
        take(make(str(path), trials=5), session.id)  # reads over it, and writes after it
    assert len(load_study(open_storage(str(path)), "s").trials()) == 2


def work_on_nothing(address: str, all_have_one: Barrier) -> None:
    """A worker whose trials cost nothing; but for the first, which it holds until all the others hold one, too."""
    study = load_study(open_storage(address), "s")
    with Session(study.optuna) as session:
        watch, held = Watch(), 0
        while (taken := study.claim(session.id, os.getpid(), watch)) is not Nothing.LEFT:
            if isinstance(taken, Trial):
                if not held:
                    all_have_one.wait()
                held += 1
                rate = taken.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
                taken.report(rate, 1)
                study.optuna.tell(taken, rate)


@pytest.mark.slow
def test_many_processes_lose_no_trial_and_make_none_twice(study_address: str) -> None:
    processes, trials = 4, 60
    study = make(study_address, trials=trials)
    context = multiprocessing.get_context("spawn")
    all_have_one = context.Barrier(processes)
    workers = [context.Process(target=work_on_nothing, args=(study_address, all_have_one)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * processes
    ended = study.trials()
    assert [trial.number for trial in ended] == list(range(trials))
    assert Counter(trial.state for trial in ended) == {TrialState.COMPLETE: trials}
    assert len({trial.params["learning_rate"] for trial in ended}) == trials
    assert len({trial.user_attrs["worker"] for trial in ended}) == processes
