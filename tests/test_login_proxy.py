"""A proxy whose login has expired leads to its page, with status 200: that is no upload, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import FileInfo

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.network import SavedNetwork
from kmnist.tracking import MlflowRun, connect, create_run, send_pending
from kmnist.tracking import pending as pending_module
from kmnist.tracking import run as run_module
from kmnist.tracking import sender as sender_module
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.nets import network
from tests.servers import MlflowServer

pytestmark = pytest.mark.slow
FILES = {"top.txt": 100, "figures/a.png": 3_000, "figures/b.png": 0, "figures/deep/c.png": 70_000}


@pytest.fixture
def proxy(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    monkeypatch.setattr(sender_module, "LAST_TRIES_SECONDS", (0.0, 0.0))
    with FaultyServer(mlflow_server.url) as proxy:
        yield proxy


def write(run: MlflowRun) -> None:
    config = TrainConfig.parse({"hidden": "8"})
    run.log_params(config.as_text())
    for path, size in FILES.items():
        run.log_file(bytes(size), path)
    run.log_metrics({"valid/loss": 0.5}, 1, 1_700_000_000_000)
    run.log_model(SavedNetwork(network(config), config, SPEC), 1, {"valid/loss": 0.5}, 1_700_000_000_000)


def start(client: MlflowClient, work_dir: Path) -> MlflowRun:
    entity = create_run(client, "login", "a run")
    return MlflowRun(client, entity, work_dir / entity.info.run_id)


def sizes_below(files: list[FileInfo], client: MlflowClient, run_id: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for file in files:
        below = sizes_below(client.list_artifacts(run_id, file.path), client, run_id) if file.is_dir else {}
        found.update(below or {file.path: file.file_size or 0})
    return found


def check_all_is_there(client: MlflowClient, run_id: str) -> None:
    assert sizes_below(client.list_artifacts(run_id), client, run_id) == FILES
    run = client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"valid/loss": 0.5})
    assert "unsent" not in run.data.tags
    [model] = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    assert model.status == "READY"
    assert {file.path for file in client.list_logged_model_artifacts(model.model_id)} >= {"MLmodel", "code", "data"}


@pytest.mark.parametrize("kind", ["login", 200])
def test_a_page_in_place_of_an_upload_is_no_success(kind: Kind, proxy: FaultyServer, tmp_path: Path) -> None:
    client = connect(proxy.url)
    faults = [Fault("PUT .*/a.png", kind, last=1), Fault("PUT .*/MLmodel", kind, last=1)]
    faults.append(Fault("PUT .*/c.png", kind, last=3))  # after which it is set aside
    proxy.inject(*faults)
    with start(client, tmp_path) as run:
        write(run)
    assert all(proxy.failed[fault] for fault in faults)
    assert (run.unsent_bytes, run.set_aside) == (0, 0)
    check_all_is_there(client, run.id)


def test_a_session_that_ends_is_waited_for_and_sync_sends_the_rest(
    proxy: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(proxy.url)
    with monkeypatch.context() as impatient:
        impatient.setattr(run_module, "PATIENCE_SECONDS", 0.5)
        impatient.setattr(pending_module, "PATIENCE_SECONDS", 0.5)
        with start(client, tmp_path) as run:
            proxy.inject(Fault(".", "login"))
            write(run)
        assert run.unsent_bytes > 0
        assert "a web page came in place of an answer" in str(run.trouble)
        [(_, outcome)] = send_pending(client, tmp_path)
    assert "still waiting (a web page came" in outcome
    proxy.heal()
    assert dict(send_pending(client, tmp_path))[run.id].startswith("sent ")
    check_all_is_there(client, run.id)
