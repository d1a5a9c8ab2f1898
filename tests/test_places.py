"""Artifacts that would lie where nobody looks for them: said where a run is made, before it is trained."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.errors import TrackingError
from kmnist.network import SavedNetwork
from kmnist.tracking import MlflowRun, connect, create_run, list_pending, reopen_run, send_pending
from kmnist.tracking.children import ChildRuns
from kmnist.tracking.places import PACKAGES, check_location
from tests.commands import Command
from tests.nets import network
from tests.servers import MlflowServer, running_mlflow

SMALL = TrainConfig.parse({"hidden": "8"})
#: A folder that each process has of its own, as each machine has of the same name.
EACH_ITS_OWN = "/proc/self/cwd/artifacts"


@pytest.fixture(scope="module")
def server(template_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with running_mlflow(tmp_path_factory.mktemp("served"), template_store) as server:
        yield server


def active_runs(client: MlflowClient, experiment: str) -> int:
    found = client.get_experiment_by_name(experiment)
    return len(client.search_runs([found.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)) if found else 0


@pytest.mark.slow
def test_a_database_that_a_server_made_is_not_trained_into_past_the_server(server: MlflowServer) -> None:
    MlflowClient(server.url).create_experiment("made by the server")
    client = connect(server.store)
    with pytest.raises(TrackingError, match=r"mlflow-artifacts:.*Track through that server .*--experiment-name"):
        create_run(client, "made by the server", "a run")
    assert active_runs(client, "made by the server") == 0
    assert create_run(client, "made here", "a run").info.artifact_uri.startswith("/")  # the way out is one


@pytest.mark.slow
def test_a_folder_of_the_servers_own_disk_is_not_taken_for_one_of_this_machine(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = connect(server.url)
    experiment = connect(server.store).create_experiment("made locally, then served", EACH_ITS_OWN)
    with pytest.raises(TrackingError, match=r"its own disk.*it does not see.*--experiment-name"):
        create_run(client, "made locally, then served", "a run")
    assert active_runs(client, "made locally, then served") == 0
    assert not list(tmp_path.iterdir())

    made = client.create_run(experiment)  # as `mlflow run` does, and other programs
    with pytest.raises(TrackingError, match="it does not see"):
        create_run(client, "made locally, then served", "a run", made=made)
    with pytest.raises(TrackingError, match="it does not see"):
        reopen_run(client, made.info.run_id)
    start = ChildRuns(client, made.info.run_id, tmp_path / "runs", "checkpoint", {}, print)
    with pytest.raises(TrackingError, match="it does not see"):  # at once, not after the hour that an outage may take
        start("a trial", {}, again=False)


@pytest.mark.slow
def test_the_same_disk_is_found_to_be_the_same(server: MlflowServer, tmp_path: Path) -> None:
    connect(server.store).create_experiment("on a shared disk", str(tmp_path / "shared"))
    client = connect(server.url)
    run = create_run(client, "on a shared disk", "a run")
    assert not (tmp_path / "shared").exists()  # what was tried is gone
    with MlflowRun(client, run, tmp_path / "runs" / run.info.run_id) as writer:
        writer.log_file(b"text", "notes/a.txt")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "notes")] == ["notes/a.txt"]


@pytest.mark.slow
def test_what_would_lie_elsewhere_stays_unsent(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose experiment was moved to a folder of the server's while it waited."""
    monkeypatch.chdir(tmp_path)
    client = connect(server.url)
    run = create_run(client, "moved", "a run")
    writer = MlflowRun(client, run, tmp_path / "runs" / run.info.run_id)
    server.freeze()
    monkeypatch.setattr("kmnist.tracking.run.PATIENCE_SECONDS", 0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    try:
        writer.log_file(b"text", "a.txt")
        writer.end("FINISHED", "completed")
        with sqlite3.connect(server.folder / "mlflow.db") as database:
            database.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (EACH_ITS_OWN, run.info.run_id))
    finally:
        server.thaw()
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    monkeypatch.setattr("kmnist.tracking.sender.LAST_TRIES_SECONDS", (0.0,))
    assert "the server refuses 1" in dict(send_pending(client, tmp_path / "runs"))[run.info.run_id]
    [waiting] = list_pending(tmp_path / "runs")
    assert [(what, "it does not see" in answer) for what, answer in waiting.set_aside] == [("a.txt", True)]
    assert client.get_run(run.info.run_id).data.tags["unsent"] == "a.txt"
    assert not (tmp_path / "artifacts").exists()


def test_a_database_that_was_moved_does_not_fill_a_folder_that_is_not_there(store: str, tmp_path: Path) -> None:
    client = connect(store)
    client.create_experiment("moved", str(tmp_path / "before"))
    run = create_run(client, "moved", "the first")
    create_run(client, "moved", "the second")  # no model was logged yet: no folder needs to be there
    with MlflowRun(client, run, tmp_path / "runs" / run.info.run_id) as writer:
        writer.log_model(SavedNetwork(network(SMALL), SMALL, SPEC), 1, {}, 1_700_000_000_000)
    shutil.rmtree(tmp_path / "before")
    with pytest.raises(TrackingError, match=r"before, which is not on this machine.*--experiment-name.*mkdir -p"):
        create_run(client, "moved", "the third")
    assert active_runs(client, "moved") == 2
    (tmp_path / "before").mkdir()
    create_run(client, "moved", "the third")


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("mlflow-artifacts:/0", "only the MLflow server that made it can write"),
        ("/proc/mlruns/0", "/proc is not writable"),
        ("file:///dev/null/mlruns", "/dev/null is not a folder"),
        ("s3://bucket/mlruns", "pip install boto3"),
        ("gs://bucket/mlruns", "pip install google-cloud-storage"),
        ("wasbs://me:secret@account/mlruns", r"me:\*\*\*@account.*pip install azure-storage-blob"),
    ],
)
def test_what_cannot_be_written_is_said_with_the_way_out(
    location: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tracking.places.find_spec", lambda name: None)
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "/proc")  # root may write anywhere
    with pytest.raises(TrackingError, match=told):
        check_location("sqlite:///mlflow.db", location)


def test_what_can_be_written_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmnist.tracking.places.find_spec", lambda name: object())
    for location in (str(tmp_path / "new" / "folder"), tmp_path.as_uri(), *(f"{scheme}://x/y" for scheme in PACKAGES)):
        check_location("sqlite:///mlflow.db", location)
    check_location("http://127.0.0.1:5000", "mlflow-artifacts:/0")


@pytest.mark.parametrize("scheme", ["http", "mlflow-artifacts"])
def test_a_server_of_artifacts_that_only_the_tracking_server_knows_is_told(scheme: str) -> None:
    with pytest.raises(TrackingError, match=r"http://artifacts-server\.invalid:5500 cannot be reached from here"):
        check_location("http://127.0.0.1:5000", f"{scheme}://artifacts-server.invalid:5500/experiments/4")
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        check_location(f"http://127.0.0.1:{port}", f"{scheme}://127.0.0.1:{port}/experiments/4")  # the same


@pytest.mark.slow
def test_another_server_of_artifacts_that_answers_is_let_through(server: MlflowServer) -> None:
    check_location("http://127.0.0.1:1", server.url.replace("http:", "mlflow-artifacts:"))


@pytest.mark.slow
def test_a_training_is_refused_before_it_begins(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kmnist_command: Command
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/0'")
    train = ["train", "--dataset", "sample", "--hidden", "16", "--epochs", "2"]
    done = kmnist_command(*train, "--experiment-name", "Default")
    assert done.returncode == 1
    assert "Track through that server" in done.stderr
    assert "epoch" not in done.stdout
    assert kmnist_command(*train, "--experiment-name", "another").returncode == 0
