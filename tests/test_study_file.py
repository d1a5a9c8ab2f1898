"""The file of studies beside Optuna's own programs, and with damage in it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import TrialState

from kmnist.errors import StudyError
from kmnist.tuning import journal
from kmnist.tuning.claims import Nothing, claim
from kmnist.tuning.journal import MARK, SharedLock
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.overview import overview
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import load_study
from tests.servers import free_port
from tests.test_study import make, take
from tests.test_tune import Tune, finish, tune, wait_until

__all__ = ["tune"]  # a fixture


def optunas_storage(path: Path) -> JournalStorage:
    """As the dashboard opens the file."""
    return JournalStorage(JournalFileBackend(str(path)))


def test_the_lock_is_optunas_too(tmp_path: Path) -> None:
    path = tmp_path / "studies.log"
    make(str(path))
    ours, theirs = SharedLock(path), JournalFileSymlinkLock(str(path))
    for first, second in ((ours, theirs), (theirs, ours)):
        taken = threading.Event()

        def take(lock: JournalFileSymlinkLock = second, taken: threading.Event = taken) -> None:
            lock.acquire()
            taken.set()
            lock.release()

        first.acquire()
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not taken.wait(0.3)
        first.release()
        waiting.join(60)
        assert taken.is_set()
    assert not path.with_name("studies.log.lock").is_symlink()


def test_a_lock_that_a_killed_process_of_ours_left_is_taken_at_once(tmp_path: Path) -> None:
    study = make(str(tmp_path / "studies.log"))
    (tmp_path / "studies.log.lock").symlink_to(f"{MARK}studies.log")
    study.optuna.set_user_attr("who", "we")
    assert not (tmp_path / "studies.log.lock").is_symlink()


def test_a_lock_that_an_earlier_version_left_is_taken_at_once(tmp_path: Path) -> None:
    study = make(str(tmp_path / "studies.log"))
    (tmp_path / "studies.log.lock").touch()
    os.utime(tmp_path / "studies.log.lock", (0, 0))
    study.optuna.set_user_attr("who", "we")
    assert not (tmp_path / "studies.log.lock").exists()


def test_a_lock_that_a_killed_dashboard_left_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "GRACE_SECONDS", 0.5)
    study = make(str(tmp_path / "studies.log"))
    (tmp_path / "studies.log.lock").symlink_to(tmp_path / "studies.log")
    begun = time.monotonic()
    study.optuna.set_user_attr("who", "we")
    assert time.monotonic() - begun > 0.4
    assert load_study(open_storage(str(tmp_path / "studies.log")), "s").optuna.user_attrs["who"] == "we"


def test_programs_of_optunas_and_ours_write_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "studies.log"
    make(str(path))
    writes = 15

    def write(storage: optuna.storages.BaseStorage, who: str) -> None:
        study = optuna.load_study(study_name="s", storage=storage)
        for number in range(writes):
            study.set_user_attr(f"{who}{number}", "x" * 5_000)

    storages = {"a": open_storage(str(path)).optuna, "b": open_storage(str(path)).optuna, "c": optunas_storage(path)}
    threads = [threading.Thread(target=write, args=(storage, who)) for who, storage in storages.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    attrs = load_study(open_storage(str(path)), "s").optuna.user_attrs
    assert all(f"{who}{number}" in attrs for who in storages for number in range(writes))


def test_trials_that_somebody_has_enqueued_are_among_those_of_the_budget(tmp_path: Path) -> None:
    study = make(str(tmp_path / "studies.log"), trials=2)
    for rate in (0.002, 0.003, 0.004):
        optunas_study = optuna.load_study(study_name="s", storage=optunas_storage(tmp_path / "studies.log"))
        optunas_study.enqueue_trial({"learning_rate": rate})
    for rate in (0.002, 0.003):
        trial = take(study)
        assert trial.trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True) == rate
        trial.end(0.5, TrialState.COMPLETE)
    assert claim(study, "mine", "one", Liveness()) is Nothing.LEFT
    assert overview(study.storage)[0]["state"] == "finished"


def test_a_study_that_is_deleted_while_it_is_worked_on_is_told(tmp_path: Path) -> None:
    study = make(str(tmp_path / "studies.log"), trials=2)
    trial = take(study)
    optuna.delete_study(study_name="s", storage=optunas_storage(tmp_path / "studies.log"))
    gone = "study 's' is not in .*studies.log any more: it was deleted"
    for look in (study.trials, lambda: study.budget, lambda: take(study), lambda: trial.report(0.5, 1)):
        with pytest.raises(StudyError, match=gone):
            look()


@contextmanager
def dashboard(path: Path) -> Iterator[str]:
    port = free_port()
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), "--port", str(port), path.name]
    with subprocess.Popen(command, cwd=path.parent, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Listening" not in process.stderr.readline():
            assert process.poll() is None
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield f"http://127.0.0.1:{port}/api"
        process.terminate()


def put_note(api: str, version: int) -> None:
    body = json.dumps({"version": version, "body": f"note {version}"}).encode()
    request = Request(f"{api}/studies/0/note", body, {"Content-Type": "application/json"}, method="PUT")
    with urlopen(request, timeout=120) as answer:
        assert answer.status == 204


@pytest.mark.long
def test_optunas_dashboard_writes_notes_into_a_running_study(tmp_path: Path, tune: Tune) -> None:
    path = tmp_path / "studies.log"
    options = ["--epochs", "3", "--hidden", "16", "--workers", "4", "--trials", "12", "--confirm-seeds", "0"]
    command = tune("--study", "s", *options)
    wait_until(lambda: path.exists() and "intermediate_value" in path.read_text(), 200)
    notes, lock = 0, (tmp_path / "studies.log.kmnist.lock").stat().st_ino
    with dashboard(path) as api:
        while command.poll() is None:
            notes += 1
            put_note(api, notes)
    output = finish(command)
    assert "died" not in output
    assert "ended (exit status" not in output
    for line in path.read_text().splitlines():
        json.loads(line)
    study = load_study(open_storage(str(path)), "s")
    assert [trial.state for trial in study.trials() if trial.state == TrialState.RUNNING] == []
    assert len(study.trials()) == 12
    assert study.storage.optuna.get_study_system_attrs(study.optuna._study_id)["dashboard:note_ver"] == notes > 5
    assert (tmp_path / "studies.log.kmnist.lock").stat().st_ino == lock


def damaged(path: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = change(lines[number - 1])
    path.write_bytes(b"\n".join(lines))


@pytest.fixture
def four_trials(tmp_path: Path) -> Path:
    study = make(str(tmp_path / "studies.log"), trials=9)
    for number in range(4):
        trial = study.optuna.ask()
        trial.set_user_attr("number", number)
        study.optuna.tell(trial, number)
    return tmp_path / "studies.log"


def line_with(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def test_a_damaged_line_is_told_with_its_number_and_the_command_that_leaves_it_out(four_trials: Path) -> None:
    number = line_with(four_trials, '"user_attr":{"number":1}')
    damaged(four_trials, number, lambda line: line[:10] + b"\0" * 20)
    study = way_on(four_trials, rf"line {number} of \d+ is damaged .*sed -i.damaged {number}d ")
    assert [trial.user_attrs.get("number") for trial in study.get_trials()] == [0, None, 2, 3]
    assert [trial.value for trial in study.get_trials()] == [0, 1, 2, 3]


def test_half_a_record_before_a_whole_one_is_cut_out(four_trials: Path) -> None:
    number = line_with(four_trials, '"user_attr":{"number":1}')
    damaged(four_trials, number, lambda line: b'{"op_code":8,"worker_id":"gone","tri' + line)
    study = way_on(four_trials, rf"line {number} of .*sed -i.damaged .* keeps its last record")
    assert [trial.user_attrs["number"] for trial in study.get_trials()] == [0, 1, 2, 3]


def test_without_a_line_that_made_a_trial_what_follows_is_left_out(four_trials: Path) -> None:
    number = line_with(four_trials, '"user_attr":{"number":2}') - 1
    damaged(four_trials, number, lambda line: line[:-5] + b"\xff" + line[-4:])
    study = way_on(four_trials, rf"line {number} of .*head -n {number - 1} .*before-{number}.log")
    assert [trial.user_attrs["number"] for trial in study.get_trials()] == [0, 1]


def test_a_whole_line_that_means_nothing_is_told_with_its_number(four_trials: Path) -> None:
    number = line_with(four_trials, '"user_attr":{"number":1}')
    damaged(four_trials, number, lambda line: b'{"op_code":99}')
    study = way_on(four_trials, rf"line {number} of \d+ is damaged .*sed -i.damaged {number}d ")
    assert [trial.user_attrs.get("number") for trial in study.get_trials()] == [0, None, 2, 3]


def test_a_line_that_is_damaged_while_a_study_runs_ends_no_trial(four_trials: Path) -> None:
    study = load_study(open_storage(str(four_trials)), "s")
    size = len(four_trials.read_bytes().splitlines())
    with four_trials.open("ab") as file:
        file.write(b'{"op_co\n')
    with pytest.raises(StudyError, match=rf"line {size + 1} of {size + 2} is damaged"):
        study.optuna.set_user_attr("more", 1)


def way_on(path: Path, message: str) -> optuna.Study:
    """Do what the message says, and open the study again."""
    with pytest.raises(StudyError, match=message) as told:
        open_storage(str(path))
    command = str(told.value).partition("then go on: ")[2].partition(" keeps ")[0].partition(" leaves it out")[0]
    subprocess.run(["bash", "-c", command], check=True, cwd=path.parent)
    kept = next(path.parent.glob("before-*.log"), path)
    return load_study(open_storage(str(kept)), "s").optuna
