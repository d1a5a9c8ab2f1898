import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import psycopg
import pytest

from kmnist.addresses import redact
from kmnist.config import TrainConfig
from kmnist.errors import TrackingError
from kmnist.tracking import MlflowRun, check_params, connect, create_run, list_pending, reopen_run
from tests.commands import Command
from tests.postgres import Postgres
from tests.servers import free_port


def test_a_server_that_does_not_answer_is_told_with_ways_out(store: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError, match=f"{url} cannot be used: .*refused.*--tracking-uri sqlite"):
        connect(url)


def test_a_uri_of_no_kind_is_told(store: str) -> None:
    with pytest.raises(TrackingError, match="nonsense://x cannot be used"):
        connect("nonsense://x")


def test_passwords_are_not_shown() -> None:
    assert redact("postgresql://me:secret@db/mlflow") == "postgresql://me:***@db/mlflow"
    assert redact("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_a_deleted_experiment_is_told_with_the_command_that_restores_it(store: str) -> None:
    client = connect(store)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError, match=r"'gone' is deleted; restore it \(mlflow experiments restore"):
        create_run(client, "gone", "a run")


def test_a_database_server_that_is_not_there_is_told_at_once(store: str) -> None:
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"me:\*\*\*@127.0.0.1:1/mlflow cannot be used: .*refused"):
        connect("postgresql+psycopg://me:secret@127.0.0.1:1/mlflow")
    assert time.monotonic() - began < 5


def test_a_database_server_that_says_nothing_is_told_after_a_while(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmnist.tracking.database.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(TrackingError, match=r"cannot be used: .*timeout"):
            connect(f"postgresql+psycopg://127.0.0.1:{silent.getsockname()[1]}/mlflow")
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_a_database_that_cannot_be_written_is_told_in_a_line(
    postgres: Postgres, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tracking.creation.START_SECONDS", 1)
    address = postgres.create_database("read_only")
    uri = address.replace("postgresql:", "postgresql+psycopg:")
    connect(uri).create_experiment("kmnist")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ALTER DATABASE read_only SET default_transaction_read_only = on")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = 'read_only' AND pid <> pg_backend_pid()"
        )
    done = kmnist_command("train", "--dataset", "sample", "--epochs", "1", "--quiet", "--tracking-uri", uri)
    assert done.returncode == 1
    assert done.stderr.startswith("kmnist: no run can be made in 'Default': ")
    assert "cannot execute INSERT in a read-only transaction" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_importing_changes_nothing_around_it() -> None:
    code = """
import logging, os
import mlflow
before = dict(os.environ), logging.getLogger("alembic").level
import kmnist.tracking
assert before == (dict(os.environ), logging.getLogger("alembic").level)
"""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_connecting_leaves_the_address_of_the_program_around_it(store: str, template_store: Path) -> None:
    before = mlflow.get_tracking_uri()
    connect(f"sqlite:///{template_store}")
    assert mlflow.get_tracking_uri() == before == store


PROJECT = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "main"}


def test_a_run_made_by_mlflow_run_is_taken_over(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect(store)
    made = client.create_run("0", tags=PROJECT).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    taken = create_run(client, "ignored", "its name", {"kind": "a"})
    assert (taken.info.run_id, taken.info.run_name, taken.data.tags["kind"]) == (made, "its name", "a")
    with pytest.raises(TrackingError, match="that run was taken by another command"):
        create_run(client, "ignored", "its name")
    assert client.get_experiment_by_name("ignored") is None


@pytest.mark.parametrize(
    ("tags", "metrics", "status", "reason"),
    [
        ({}, {}, "RUNNING", "was not made by `mlflow run`"),
        ({**PROJECT, "mlflow.source.type": "LOCAL"}, {}, "RUNNING", "was not made by `mlflow run`"),
        ({**PROJECT, "mlflow.project.entryPoint": "tune"}, {}, "RUNNING", "was made for the entry point tune"),
        (PROJECT, {}, "FINISHED", "is FINISHED"),
        (PROJECT, {}, "KILLED", "is KILLED"),
        (PROJECT, {"loss": 1.0}, "RUNNING", "has metrics"),
        ({**PROJECT, "heartbeat": "1"}, {}, "RUNNING", "was taken by another command"),
    ],
)
def test_a_run_that_was_not_just_made_for_this_command_is_left_as_it_is(
    tags: dict[str, str],
    metrics: dict[str, float],
    status: str,
    reason: str,
    store: str,
    monkeypatch: pytest.MonkeyPatch,
    kmnist_command: Command,
) -> None:
    client = connect(store)
    run_id = client.create_run("0", tags=tags, run_name="not ours").info.run_id
    for name, value in metrics.items():
        client.log_metric(run_id, name, value)
    client.update_run(run_id, status)
    before = client.get_run(run_id).to_dictionary()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    done = kmnist_command("train", "--dataset", "sample", "--epochs", "1", "--quiet")
    assert done.returncode == 1
    assert done.stderr == (
        f"kmnist: MLFLOW_RUN_ID={run_id}: that run {reason}; only one that `mlflow run` has just made for this command "
        "is taken (RUNNING, without metrics, entry point main or experiment); "
        "unset MLFLOW_RUN_ID, and a new run is made\n"
    )
    assert client.get_run(run_id).to_dictionary() == before
    assert len(client.search_runs(["0"])) == len(client.search_experiments()) == 1


def test_a_study_takes_only_the_run_that_was_made_for_it(
    store: str, monkeypatch: pytest.MonkeyPatch, kmnist_command: Command, tmp_path: Path
) -> None:
    client = connect(store)
    run_id = client.create_run("0", tags=PROJECT).info.run_id
    before = client.get_run(run_id).to_dictionary()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    done = kmnist_command("tune", "--dataset", "sample", "--study", "s")
    assert done.returncode == 1
    assert "that run was made for the entry point main" in done.stderr
    assert client.get_run(run_id).to_dictionary() == before
    assert "there is no study" in kmnist_command("studies").stdout
    monkeypatch.setenv("MLFLOW_RUN_ID", "nothing")
    done = kmnist_command("tune", "--dataset", "sample", "--study", "s")
    assert "run nothing, which MLFLOW_RUN_ID names, cannot be read: " in done.stderr


def test_parameters_are_compared_by_value_and_the_missing_ones_logged(store: str, tmp_path: Path) -> None:
    client = connect(store)
    config = TrainConfig.parse({"learning_rate": 0.001, "epochs": 3})
    entity = client.create_run("0")
    for name, text in {"learning_rate": "1e-3", "dropout": "auto", "hidden": "512, 256,128,64"}.items():
        client.log_param(entity.info.run_id, name, text)
    entity = client.get_run(entity.info.run_id)
    check_params(entity, config)
    with MlflowRun(client, entity, tmp_path / "run") as run:
        run.log_params(config.as_text())
    assert run.set_aside == 0
    params = client.get_run(entity.info.run_id).data.params
    assert params == {**config.as_text(), "learning_rate": "1e-3", "dropout": "auto", "hidden": "512, 256,128,64"}
    with pytest.raises(TrackingError, match=r"other settings \(epochs: 3 there, 4 here\)"):
        check_params(client.get_run(entity.info.run_id), TrainConfig.parse({"epochs": 4}))


def test_what_cannot_be_resumed(store: str) -> None:
    client = connect(store)
    with pytest.raises(TrackingError, match=r"run nothing cannot be resumed on sqlite.*--tracking-uri"):
        reopen_run(client, "nothing")
    run_id = client.create_run("0").info.run_id
    client.set_terminated(run_id, "FINISHED")
    with pytest.raises(TrackingError, match="has FINISHED: there is nothing to resume"):
        reopen_run(client, run_id)


def test_a_resumed_run_is_running_again_whatever_end_it_had(store: str, tmp_path: Path) -> None:
    client = connect(store)
    entity = create_run(client, "kmnist", "a run")
    with pytest.raises(KeyboardInterrupt), MlflowRun(client, entity, tmp_path / "run"):
        raise KeyboardInterrupt
    with MlflowRun(client, reopen_run(client, entity.info.run_id), tmp_path / "run") as run:
        run.log_metrics({"valid/loss": 1.0}, 1)
        for _ in range(100):
            if client.get_run(run.id).data.metrics:
                break
            time.sleep(0.05)
        assert client.get_run(run.id).info.status == "RUNNING"
    found = client.get_run(run.id)
    assert (found.info.status, found.data.tags["end_reason"]) == ("FINISHED", "completed")


def test_two_processes_cannot_write_one_run(store: str, tmp_path: Path) -> None:
    client = connect(store)
    entity = create_run(client, "kmnist", "a run")
    with MlflowRun(client, entity, tmp_path / "run"), pytest.raises(TrackingError, match="another process is working"):
        MlflowRun(client, entity, tmp_path / "run")


def test_a_record_that_the_server_refuses_is_kept_and_does_not_hold_up_the_rest(store: str, tmp_path: Path) -> None:
    client = connect(store)
    with MlflowRun(client, create_run(client, "kmnist", "a run"), tmp_path / "run") as run:
        run.log_params({"a": "1"})
        run.log_params({"a": "2"})
        run.log_metrics({"valid/loss": 1.0}, 1)
    assert run.set_aside == 1
    found = client.get_run(run.id)
    assert found.data.metrics["valid/loss"] == 1.0
    assert (found.info.status, found.data.tags["unsent"]) == ("FINISHED", "params a")
    run.discard_folder()
    [pending] = list_pending(tmp_path)
    [(what, answer)] = pending.set_aside
    assert what == "params a"
    assert "Changing param values is not allowed" in answer


def test_one_bad_record_among_many_that_travel_together_is_the_only_one_refused(store: str, tmp_path: Path) -> None:
    client = connect(store)
    with MlflowRun(client, create_run(client, "kmnist", "a run"), tmp_path / "run") as run:
        for step in range(1, 120):
            run.log_metrics({"valid/loss": 1 / step}, step)
        run.log_metrics({"not a name: ?": 1.0}, 1)
        run.log_tags({"arrived": "yes"})
    assert run.set_aside == 1
    assert len(client.get_metric_history(run.id, "valid/loss")) == 119
    assert client.get_run(run.id).data.tags["arrived"] == "yes"


def test_passwords_of_addresses_do_not_leave_with_a_run(store: str, tmp_path: Path) -> None:
    client = connect(store)
    address = "http://me:secret@host:5000"
    run = MlflowRun(client, create_run(client, "kmnist", "a run"), tmp_path / "run")
    run.log_note(f"tracked to {address}")
    with pytest.raises(ValueError, match="secret"), run:
        raise ValueError(f"cannot reach {address}")
    tags = client.get_run(run.id).data.tags
    trace = Path(client.download_artifacts(run.id, "traceback.txt", str(tmp_path))).read_text()
    for text in (tags["mlflow.note.content"], tags["end_reason"], trace):
        assert "me:***@host" in text
        assert "secret" not in text
