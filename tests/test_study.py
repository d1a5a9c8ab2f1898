"""Who may take which trial: budgets, deaths and leaders, on a file and on PostgreSQL. Nothing is trained."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from kmnist import record
from kmnist.errors import SettingError, StudyError
from kmnist.tuning.claims import Claim, ClaimLost, Nothing, claim, release
from kmnist.tuning.definition import parse
from kmnist.tuning.liveness import PREFIX, Liveness, Session
from kmnist.tuning.overview import overview
from kmnist.tuning.pool import Pool
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, all_studies, create_study, find_study, load_study, require_same
from kmnist.tuning.supervise import ReplacedWorkers
from tests.memory_run import MemoryRun

DATA = {"dataset": "sample", "train SHA-256": "0" * 64}


def make(address: str, name: str = "s", **given: Any) -> TrackedStudy:
    definition, budget = parse({"epochs": 9, "sampler": "random", "search": {"learning_rate": None}, **given})
    return create_study(open_storage(address), name, definition, budget, DATA)


def take(study: TrackedStudy, session: str = "mine", worker: str = "one") -> Claim:
    taken = claim(study, session, worker, Liveness())
    assert isinstance(taken, Claim)
    return taken


def test_a_study_has_exactly_the_trials_of_its_budget(study_address: str) -> None:
    study = make(study_address, trials=3)
    with Session(study.optuna) as session:
        trials = [take(study, session.id) for _ in range(3)]
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert claim(study, session.id, "one", Liveness()) is Nothing.YET  # one of them may yet be given up
        for trial in trials:
            trial.end(0.5, TrialState.COMPLETE)
        assert claim(study, session.id, "one", Liveness()) is Nothing.LEFT
        study.set_budget(study.budget.model_copy(update={"trials": 4}))
        assert take(study, session.id).number == 3


def test_a_trial_of_a_dead_session_is_taken_up_again_as_it_is(study_address: str) -> None:
    study = make(study_address, trials=2)
    with Session(study.optuna) as session:
        first = take(study, session.id)
        rate = first.trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        first.report(0.5, 1)
        assert take(study, session.id).number == 1  # the first one is in good hands
    other = load_study(open_storage(study_address), "s")
    with Session(other.optuna) as session:
        again = take(other, session.id)
        assert (again.number, again.trial.user_attrs["deaths"]) == (0, 1)
        assert again.trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True) == rate
        assert other.trials()[0].intermediate_values == {1: 0.5}


def test_a_trial_that_was_given_up_is_not_counted_as_a_death(study_address: str) -> None:
    study = make(study_address, trials=1)
    with Session(study.optuna) as session:
        take(study, session.id)
        release(study, "two", died=True)  # another worker's end
        assert claim(study, session.id, "one", Liveness()) is Nothing.YET
        release(study, "one", died=False)
        assert take(study, session.id).trial.user_attrs["deaths"] == 0
        release(study, "one", died=True)
        assert take(study, session.id).trial.user_attrs["deaths"] == 1


def test_a_session_killed_without_a_word_is_seen_at_once_on_its_own_machine(tmp_path: Path) -> None:
    address = str(tmp_path / "studies.log")
    study = make(address, trials=2)
    code = f"""
import os, signal
from kmnist.tuning.claims import claim
from kmnist.tuning.liveness import Liveness, Session
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import load_study
study = load_study(open_storage({address!r}), "s")
with Session(study.optuna) as session:
    claim(study, session.id, "one", Liveness())
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
    record = {"host": "elsewhere", "pid": 1, "beat": 7}
    study.optuna.set_user_attr(PREFIX + "far", record)
    now = time.monotonic()
    liveness = Liveness()

    def dead_after(seconds: float) -> bool:
        monkeypatch.setattr("kmnist.tuning.liveness.time.monotonic", lambda: now + seconds)
        return liveness.is_dead("far", study.optuna.user_attrs)

    assert not dead_after(0)
    assert not dead_after(59)
    study.optuna.set_user_attr(PREFIX + "far", {**record, "beat": 8})
    assert not dead_after(61)  # it gave a sign
    assert not dead_after(120)
    assert dead_after(122)
    assert liveness.is_dead("never heard of", study.optuna.user_attrs)


def test_a_clock_that_is_set_kills_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "studies.log"))
    with Session(study.optuna) as session:
        liveness = Liveness()
        assert not liveness.is_dead(session.id, study.optuna.user_attrs)
        for hours in (-1000, 1000):
            now = time.time() + 3600 * hours
            monkeypatch.setattr("time.time", lambda now=now: now)
            monkeypatch.setattr("psutil._pslinux.boot_time", lambda now=now: now)
            assert not liveness.is_dead(session.id, study.optuna.user_attrs)
            assert not Liveness().is_dead(session.id, study.optuna.user_attrs)


def test_a_stopped_command_keeps_its_trials_and_one_that_ended_badly_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "studies.log"))
    monkeypatch.setattr("kmnist.tuning.liveness.GRACE_SECONDS", -1.0)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        record = {"host": socket.gethostname(), "pid": process.pid, "beat": 7}
        study.optuna.set_user_attr(PREFIX + "here", record)
        liveness, attrs = Liveness(), study.optuna.user_attrs
        assert not liveness.is_dead("here", attrs)
        assert liveness.is_dead("here", attrs)  # a process of that number, but it gives no sign of life
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert not liveness.is_dead("here", attrs)
    finally:
        process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for its status
    assert Liveness().is_dead("here", attrs)
    process.wait()


def test_at_a_glance_a_machine_that_is_long_silent_works_no_more(tmp_path: Path) -> None:
    """A container that was killed leaves the name of a host that is no more."""
    study = make(str(tmp_path / "studies.log"))

    def state() -> str:
        return overview(open_storage(str(tmp_path / "studies.log")))[0]["state"]

    with Session(study.optuna):
        assert state() == "running"
    assert state() == "interrupted"
    for at, expected in ((time.time(), "running"), (time.time() - 400, "interrupted")):
        study.optuna.set_user_attr(PREFIX + "gone", {"host": "elsewhere", "pid": 7, "beat": 3, "at": at})
        assert state() == expected


def test_epochs_are_counted_over_all_trials_and_never_exceeded(study_address: str) -> None:
    study = make(study_address, trials=50, max_epochs_total=10)
    with Session(study.optuna) as session:
        first, second = take(study, session.id), take(study, session.id)
        assert [first.reserve_epoch(number) for number in (2, 3, 4, 5)] == [None] * 4
        assert [second.reserve_epoch(number) for number in (2, 3, 4, 5)] == [None] * 4
        assert first.reserve_epoch(6) == "the study's 10 epochs are used up"
        assert second.reserve_epoch(5) is None  # counted already: it is done again after a death
        assert claim(study, session.id, "one", Liveness()) is Nothing.YET
        study.optuna.tell(first.trial, 0.1)
        study.optuna.tell(second.trial, 0.1)
        assert claim(study, session.id, "one", Liveness()) is Nothing.LEFT


def test_a_worker_that_comes_back_finds_its_trial_with_another_and_writes_nothing(study_address: str) -> None:
    study = make(study_address, trials=1, max_epochs_total=10)
    lost = take(study, "a command that died", worker="silent")
    lost.report(0.1, 1)
    with Session(study.optuna) as session:
        now = take(study, session.id, worker="new")
        now.report(0.2, 2)
        writes: tuple[Callable[[], object], ...] = (
            lambda: lost.report(0.9, 2),
            lambda: lost.report(0.9, 3),
            lambda: lost.reserve_epoch(4),
            lambda: lost.set("run_id", "another"),
            lambda: lost.end(0.9, TrialState.COMPLETE, "mine"),
        )
        for write in writes:
            with pytest.raises(ClaimLost, match="worker silent was silent for long: another has trial 0 now"):
                write()
        now.end(0.2, TrialState.COMPLETE)
        with pytest.raises(ClaimLost):
            now.end(0.9, TrialState.COMPLETE)
    [trial] = study.trials()
    assert (trial.value, trial.intermediate_values) == (0.2, {1: 0.1, 2: 0.2})
    assert trial.user_attrs.keys() == {"session", "worker", "deaths", "epochs_begun"}


def test_one_command_leads_and_another_follows_when_it_is_gone(study_address: str) -> None:
    study = make(study_address)
    with Session(study.optuna) as first:
        assert study.lead(first.id, Liveness())
        with Session(study.optuna) as second:
            assert not study.lead(second.id, Liveness())
            assert study.lead(first.id, Liveness())
    with Session(study.optuna) as third:
        assert study.lead(third.id, Liveness())


def test_a_study_that_differs_is_refused_and_the_message_says_how(study_address: str) -> None:
    study = make(study_address)
    make(study_address)  # the same again is the same
    with pytest.raises(StudyError, match=r"study 's' exists and differs \(pruner: hyperband there, none here\)"):
        make(study_address, pruner="none")
    with pytest.raises(StudyError, match="train SHA-256: 0000"):
        require_same(study, study.definition, {**DATA, "train SHA-256": "1" * 64})


def test_a_grid_ends_with_its_last_point_and_cannot_be_cut(study_address: str) -> None:
    search = {"learning_rate": [0.1, 0.01], "batch_size": [64, 128]}
    study = make(study_address, sampler="grid", search=search, trials=50)
    assert study.budget.trials == 4
    with pytest.raises(SettingError, match=r"the grid has 4 points .* trials=3: give --trials 4"):
        study.set_budget(study.budget.model_copy(update={"trials": 3}))
    with Session(study.optuna) as session:
        for _ in range(4):
            trial = take(study, session.id)
            suggest(trial.trial, study.definition)
            trial.end(0.5, TrialState.COMPLETE)
        assert claim(study, session.id, "one", Liveness()) is Nothing.LEFT
    assert len({str(trial.params) for trial in study.trials()}) == 4


class Ended:
    """A worker that has ended with a status."""

    place = "process 1"

    def __init__(self, status: int) -> None:
        self.exitcode: int | None = status

    def is_heard(self) -> bool:
        return True

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def join(self, seconds: float) -> None: ...


def test_replaced_workers_are_counted_in_the_run_above_over_all_commands(study_address: str) -> None:
    study, confirmation = make(study_address), make(study_address, "s.confirmation")
    run = MemoryRun()
    report = ReplacedWorkers(study, run)
    report([], final=False)
    assert record.REPLACED_WORKERS not in run.tags
    jobs = iter([Ended(status) for status in (-9, 0, 1, -9, 0)])
    for worked_on, replaced in ((study, 1), (confirmation, 2)):
        said: list[str] = []
        with Pool(worked_on, lambda worker, place: next(jobs), 1, said.append, study) as pool:
            assert not any(pool.renew() for _ in range(replaced + 1))
        assert [line.partition(": ")[2] for line in said] == [
            "another has taken its place, and goes on with its trial"
        ] * replaced
        report([], final=True)
    assert run.tags[record.REPLACED_WORKERS] == "3"
    assert load_study(open_storage(study_address), "s").replaced == 3


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


def test_a_study_that_another_command_is_making_is_waited_for(study_address: str) -> None:
    storage, twin = open_storage(study_address), open_storage(study_address)
    definition, budget = parse({"epochs": 9, "search": {"learning_rate": None}})
    with storage.lock("s"):
        optuna.create_study(storage=storage.optuna, study_name="s", direction="maximize")
        finding = ThreadPoolExecutor(1).submit(find_study, twin, "s")
        time.sleep(0.5)
        assert not finding.done()
        made = optuna.load_study(storage=storage.optuna, study_name="s")
        rest = {"budget": budget.model_dump_json(), "out_of_time": False, "data": DATA, "id": "an id"}
        for name, value in {**rest, "definition": definition.to_json()}.items():
            made.set_user_attr(name, value)
    found = finding.result(10)
    assert found is not None
    assert found.definition == definition


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
    study, worker = load_study(open_storage(address), "s"), str(os.getpid())
    with Session(study.optuna) as session:
        liveness, held = Liveness(), 0
        while (taken := claim(study, session.id, worker, liveness)) is not Nothing.LEFT:
            if isinstance(taken, Claim):
                if not held:
                    all_have_one.wait()
                held += 1
                rate = taken.trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
                taken.report(rate, 1)
                taken.end(rate, TrialState.COMPLETE)


@pytest.mark.long
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
