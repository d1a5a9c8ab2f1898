"""``kmnist tune`` and ``kmnist studies`` as a user types them: real processes, real trainings on the sample set."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
import yaml
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from kmnist.checkpoint import FILE_NAME
from kmnist.config import TrainConfig
from kmnist.data import load_dataset
from kmnist.errors import Incomplete
from kmnist.jobs.course import Places, require_sent
from kmnist.jobs.engine import Engine
from kmnist.tracking import ChildRuns, connect
from kmnist.tracking.journal import LOCK, Journal
from kmnist.tuning.definition import parse
from kmnist.tuning.liveness import Session
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, create_study, find_study, load_study
from kmnist.tuning.worker import Worker, work
from tests.commands import Command, environment
from tests.postgres import Postgres

SMALL = ["--dataset", "sample", "--precision", "fp32", "--sampler", "random"]
PARENT = "mlflow.parentRunId"


Tune = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def tune(store: str, tmp_path: Path) -> Iterator[Tune]:
    """Starts ``kmnist tune`` as a command of its own; what a failed test leaves running ends with it."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "kmnist", "tune", *SMALL, *arguments]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env=environment(store),
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process, suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The workers that live: children of the server that forks them. A process may end while it is looked at."""
    servers = []
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            if "multiprocessing.forkserver" in " ".join(child.cmdline()):
                servers.append(child)
    living = []
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            living += [child for child in server.children() if child.status() != psutil.STATUS_ZOMBIE]
    return living


def finish(process: "subprocess.Popen[str]", status: int = 0) -> str:
    output, _ = process.communicate(timeout=250)
    assert process.returncode == status, output
    return output


def runs_of(store: str) -> tuple[Run, list[Run]]:
    """The study's run, and those of its trials."""
    client = MlflowClient(store)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    [parent] = [run for run in runs if PARENT not in run.data.tags]
    assert {run.data.tags[PARENT] for run in runs if run is not parent} <= {parent.info.run_id}
    return parent, sorted((run for run in runs if run is not parent), key=lambda run: run.info.start_time)


def wait_until(ready: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def study_in(address: str, name: str) -> TrackedStudy:
    return load_study(open_storage(address), name)


def curve(store: str, run: Run, metric: str = "valid/accuracy") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(store).get_metric_history(run.info.run_id, metric)]


@pytest.mark.long
def test_a_study_with_two_workers(store: str, tmp_path: Path, tune: Tune) -> None:
    options = ["--arch", "dropout", "--epochs", "3", "--workers", "2", "--hidden", "32"]
    about = ["--tag", "campaign=autumn", "--note", "Of the study."]
    finish(tune("--study", "small", *options, "--trials", "2", "--confirm-seeds", "0", *about))
    output = finish(tune("--study", "small", *options, "--trials", "5", "--confirm-seeds", "2"))
    parent, children = runs_of(store)
    trials = [run for run in children if run.data.tags["kind"] == "trial"]
    confirmations = [run for run in children if run.data.tags["kind"] == "confirmation"]
    study = study_in(str(tmp_path / "studies.log"), "small")
    ended = study.trials()

    # Every trial is a run, with the state that Optuna has.
    assert len(ended) == len(trials) == 5
    status = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
    for trial in ended:
        [run] = [run for run in trials if run.info.run_id == trial.user_attrs["run_id"]]
        assert run.info.status == status[trial.state.name]
        assert run.data.tags["trial.state"] == trial.state.name
        assert run.data.tags["study"] == "small"
        assert run.data.params["trial"] == str(trial.number)
        assert float(run.data.params["learning_rate"]) == trial.params["learning_rate"]
        assert curve(store, run) == sorted(trial.intermediate_values.items())
        assert not [name for name in run.data.metrics if name.startswith("test")]
    assert len({trial.user_attrs["worker"] for trial in ended}) >= 2

    # What the user says of the study is said of all runs that come of it, also when it goes on; the note is its own's.
    assert {run.data.tags.get("campaign") for run in (parent, *children)} == {"autumn"}
    assert [run.info.run_id for run in (parent, *children) if "note" in run.data.tags] == [parent.info.run_id]

    # The study's own run has what there is to say about all of them.
    assert parent.info.status == "FINISHED"
    best = study.optuna.best_trial
    assert parent.data.metrics["study/best_valid_accuracy"] == pytest.approx(best.value)
    assert parent.data.tags["study.best_run"] == best.user_attrs["run_id"]
    note = parent.data.tags["mlflow.note.content"]
    assert "5 of 5 trials" in note
    assert f"#/experiments/{parent.info.experiment_id}/runs/{best.user_attrs['run_id']}" in note
    client = MlflowClient(store)
    figures = {file.path for file in client.list_artifacts(parent.info.run_id, "figures")}
    assert figures == {"figures/interactive.html"}
    page = Path(client.download_artifacts(parent.info.run_id, "figures/interactive.html", str(tmp_path))).read_text()
    assert "Optimization History Plot" in page
    file = client.download_artifacts(parent.info.run_id, "reports/best.yaml", str(tmp_path))
    settings = TrainConfig.parse(yaml.safe_load(Path(file).read_text()))
    assert settings.learning_rate == best.params["learning_rate"]

    # The best settings were trained again, with other seeds, and tested once each.
    assert len(confirmations) == 2
    assert {run.data.params["seed"] for run in confirmations} == {"1", "2"}
    tests = [run.data.metrics["test/accuracy"] for run in confirmations]
    assert parent.data.metrics["confirmed/test_accuracy_mean"] == pytest.approx(sum(tests) / 2)
    offered = max(confirmations, key=lambda run: float(run.data.tags["trial.value"]))
    assert parent.data.tags["study.offered_run"] in {offered.info.run_id, *(r.info.run_id for r in confirmations)}
    assert "confirmed with 2 other seeds: test accuracy" in output
    assert list((tmp_path / "runs").iterdir()) == []  # nothing waits, no checkpoint is left


def test_a_command_does_not_answer_for_what_another_is_still_sending(tmp_path: Path) -> None:
    definition, budget = parse({"epochs": 9, "search": {"learning_rate": None}})
    study = create_study(open_storage(str(tmp_path / "studies.log")), "shared", definition, budget, {})
    study.optuna.set_user_attr("run_id", "the-studys-own")
    places = Places("", None, "", tmp_path, tmp_path / "runs", Engine(), progress=False)
    require_sent(places, study)
    folder = places.work_dir / "the-studys-own"
    folder.mkdir(parents=True)
    with closing(Journal(folder)) as journal:
        with FileLock(folder / LOCK):
            journal.append({"op": "tags", "tags": {"a": "b"}})
            require_sent(places, study)
        with pytest.raises(Incomplete, match="kmnist sync"):
            require_sent(places, study)


@pytest.mark.long
def test_kills_lose_no_trial_and_no_epoch(store: str, tmp_path: Path, tune: Tune) -> None:
    """A worker is killed, then everything at once; the same command goes on, and meets the budget."""
    slow = ["--hidden", "256,256", "--batch-size", "16", "--epochs", "5", "--pruner", "none", "--confirm-seeds", "0"]
    arguments = ["--study", "hard", "--workers", "2", "--trials", "4", *slow]
    process = tune(*arguments)
    address = str(tmp_path / "studies.log")

    def epochs_done(number: int) -> int:
        trials = study_in(address, "hard").trials()
        return len(trials[number].intermediate_values) if len(trials) > number else 0

    def workers() -> set[int]:
        return {worker.pid for worker in workers_of(psutil.Process(process.pid))}

    wait_until(lambda: (tmp_path / "studies.log").exists())
    wait_until(lambda: len(workers()) == 2)
    wait_until(lambda: epochs_done(0) >= 1 and epochs_done(1) >= 1)
    before = workers()
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: len(workers()) == 2 and workers() != before)
    wait_until(lambda: epochs_done(0) >= 2)
    os.killpg(process.pid, signal.SIGKILL)
    killed, _ = process.communicate()
    assert killed.count("died (exit status -9): another has taken its place") == 1

    output = finish(tune(*arguments))
    assert "hard: 4 complete" in output
    parent, children = runs_of(store)
    trials = study_in(address, "hard").trials()
    assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 4}
    assert parent.info.status == "FINISHED"
    assert [run.info.status for run in children] == ["FINISHED"] * 4  # the same runs, no others
    for run in children:
        assert [step for step, _ in curve(store, run)] == [1, 2, 3, 4, 5]
    assert [step for step, _ in curve(store, parent, "study/best_valid_accuracy")] == [1, 2, 3, 4]
    assert sorted(step for step, _ in curve(store, parent, "study/trial_valid_accuracy")) == [0, 1, 2, 3]
    assert parent.data.metrics["study/epochs_trained"] == 20
    assert parent.data.tags["study.replaced_workers"] == "1"


@pytest.mark.long
def test_a_worker_that_is_stopped_is_replaced_and_its_trial_goes_on_in_the_same_run(
    study_address: str, store: str, tmp_path: Path, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tuning.pool.SILENT_SECONDS", 8.0)

    def epochs_done() -> int:
        study = find_study(open_storage(study_address), "s")
        return sum(len(trial.intermediate_values) for trial in study.trials()) if study else 0

    def stop_the_worker() -> None:
        wait_until(lambda: epochs_done() >= 1)
        newest = max(workers_of(psutil.Process()), key=lambda worker: worker.create_time())
        newest.suspend()

    study = ["--study", "s", "--storage", study_address, "--trials", "1", "--pruner", "none", "--confirm-seeds", "0"]
    slow = ["--hidden", "256,256", "--batch-size", "16", "--epochs", "5", "--threads", "1"]
    with ThreadPoolExecutor() as beside:
        stopping = beside.submit(stop_the_worker)
        done = kmnist_command("tune", *SMALL, *study, *slow)
        stopping.result()
    assert done.returncode == 0, done.stderr
    assert "has given no sign of life for 8 seconds: it is killed, and another goes on with its trial" in done.stdout
    assert done.stdout.count("worker ") == 1  # said once
    [trial] = study_in(study_address, "s").trials()
    assert trial.state == TrialState.COMPLETE
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4, 5]
    parent, [run] = runs_of(store)
    assert (parent.info.status, run.info.status) == ("FINISHED", "FINISHED")
    assert curve(store, run) == sorted(trial.intermediate_values.items())
    assert parent.data.tags["study.replaced_workers"] == "1"


@pytest.mark.long
def test_a_stopped_workers_trial_is_taken_over_and_when_it_wakes_it_does_no_harm(
    store: str, tmp_path: Path, tune: Tune, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands share a study; the worker of one is stopped in mid-trial, and goes on when all is over."""
    monkeypatch.setattr("kmnist.tuning.liveness.GRACE_SECONDS", 3.0)
    monkeypatch.setattr("kmnist.tuning.worker.POLL_SECONDS", 0.1)
    address = str(tmp_path / "studies.log")
    slow = ["--hidden", "256,256", "--batch-size", "16", "--epochs", "4", "--pruner", "none", "--confirm-seeds", "0"]
    options = ["--study", "s", "--trials", "1", "--threads", "1", *slow]
    first = tune(*options)
    wait_until(lambda: Path(address).exists() and find_study(open_storage(address), "s") is not None)
    wait_until(lambda: any(trial.intermediate_values for trial in study_in(address, "s").trials()))
    [worker] = workers_of(psutil.Process(first.pid))
    wait_until(lambda: _suspended_without_lock(worker, store))

    # As `kmnist tune` does it, but in this process, where a minute is three seconds.
    study = study_in(address, "s")
    with Session(study.optuna) as command:
        parent, [before] = runs_of(store)
        start_run = ChildRuns(connect(store), parent.info.run_id, tmp_path / "runs", FILE_NAME, {}, print)
        data = load_dataset("sample", tmp_path).without_test()
        work(study, Worker("other", command.id), start_run, data)
        [ended] = study.trials()
        worker.resume()
        output = finish(first)
    assert "Traceback" not in output
    [trial] = study.trials()
    assert trial == ended  # nothing that the one who woke had to say was taken
    assert (trial.state, trial.user_attrs["worker"]) == (TrialState.COMPLETE, "other")
    assert sorted(trial.intermediate_values) == [1, 2, 3, 4]
    _, runs = runs_of(store)
    lost, run = sorted(runs, key=lambda run: run.info.run_id != before.info.run_id)
    assert (lost.info.status, run.info.status) == ("KILLED", "FINISHED")
    assert run.info.run_id == trial.user_attrs["run_id"]
    assert run.data.tags["trial.gone_on"] == "from its first epoch"
    assert [step for step, _ in curve(store, run)] == [1, 2, 3, 4]


def _suspended_without_lock(worker: psutil.Process, store: str) -> bool:
    """Suspend it, but not in a transaction, in which it would lock everybody out of sqlite."""
    worker.suspend()
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"), timeout=0)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            worker.resume()
            return False
    return True


@pytest.mark.long
def test_a_database_that_goes_for_good_ends_the_command_with_a_message(
    store: str, postgres: Postgres, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tuning.supervise.AWAY_SECONDS", 2.0)
    address = postgres.create_database("gone")

    def stop_it() -> None:
        wait_until(lambda: find_study(open_storage(address), "s"))
        wait_until(lambda: study_in(address, "s").trials())
        postgres.stop("immediate")

    try:
        with ThreadPoolExecutor() as beside:
            stopping = beside.submit(stop_it)
            done = kmnist_command("tune", *SMALL, "--study", "s", "--storage", address, "--hidden", "256,256")
            stopping.result()
    finally:
        postgres.start()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"kmnist: storage {address} " in done.stderr.splitlines()[-1]
    assert [trial.state for trial in study_in(address, "s").trials()] == [TrialState.RUNNING]


@pytest.mark.long
def test_an_interrupted_study_says_how_to_go_on_and_leaves_no_run_running(
    store: str, tmp_path: Path, tune: Tune
) -> None:
    slow = ["--hidden", "256,256", "--batch-size", "16", "--epochs", "5", "--pruner", "none", "--confirm-seeds", "0"]
    process = tune("--study", "stopped", "--trials", "3", *slow)
    wait_until(lambda: (tmp_path / "studies.log").exists())
    wait_until(lambda: "intermediate_value" in (tmp_path / "studies.log").read_text())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output = finish(process, 130)
    assert "Traceback" not in output
    assert "Go on with the same command and --study stopped" in output
    parent, children = runs_of(store)
    assert {run.info.status for run in [parent, *children]} == {"KILLED"}
    assert [trial.state for trial in study_in(str(tmp_path / "studies.log"), "stopped").trials()] == [
        TrialState.RUNNING
    ]


@pytest.mark.long
def test_a_budget_of_epochs_over_two_commands_on_postgresql(store: str, tune: Tune, postgres: Postgres) -> None:
    """Two commands work on one study; one of them leads."""
    study_address = postgres.create_database("shared")
    options = ["--study", "shared", "--storage", study_address, "--hidden", "16", "--epochs", "4", "--pruner", "none"]
    budget = ["--trials", "50", "--max-epochs-total", "18", "--confirm-seeds", "0"]
    commands = [tune(*options, *budget, "--work-dir", name) for name in ("a", "b")]
    outputs = [finish(command) for command in commands]
    trials = study_in(study_address, "shared").trials()
    assert sum(len(trial.intermediate_values) for trial in trials) == 18
    assert all(trial.state.is_finished() for trial in trials)
    parent, children = runs_of(store)
    assert parent.info.status == "FINISHED"
    assert len(children) == len(trials)
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED"}
    assert "18 epochs" in outputs[0]


def test_bad_input_is_told_in_a_line(kmnist_command: Command, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("search:\n  learning_rate: {low: 0.1, high: 0.01}\n")
    for arguments, message in [
        (["--study-file", str(file)], "kmnist: search.learning_rate: low=0.1, high=0.01: low must be below high"),
        (["--sampler", "tpee"], "kmnist: sampler=tpee: unknown sampler 'tpee'; did you mean 'tpe'?"),
        (["--storage", "sqlite:///a.db"], "kmnist: storage sqlite:///a.db: sqlite is locked by processes that write"),
        (["--epochs", "2", *SMALL], "kmnist: epochs=2: pruner=hyperband needs at least 3 epochs"),
        (["--sampler", "grid", "--dataset", "sample"], "kmnist: sampler=grid: search.hidden="),
    ]:
        done = kmnist_command("tune", *arguments)
        assert done.returncode == 1, arguments
        assert done.stderr.startswith(message), done.stderr
        assert "Traceback" not in done.stderr
    done = kmnist_command("tune", "--workers", "0")
    assert done.returncode == 2
    assert done.stderr.startswith('kmnist: Invalid value "0" for --workers. Must be >= 1.')
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_studies(kmnist_command: Command, tmp_path: Path) -> None:
    from tests.test_study import make

    assert "there is no study in studies.log" in kmnist_command("studies").stdout
    study = make("studies.log", "mine", trials=3)
    for value in (0.5, 0.75):
        study.optuna.tell(study.optuna.ask(), value)
    row = kmnist_command("studies").stdout.splitlines()[-1]
    assert row.split()[:2] == ["mine", "interrupted"]
    assert "2 of 3 (0 pruned, 0 failed)" in row
    assert "0.7500 (trial 1)" in row
