"""A tracking server whose own disk is full, or read-only."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kmnist.tracking import MlflowRun, connect, create_run, list_pending, send_pending
from kmnist.tracking import run as run_module
from kmnist.tracking import sender as sender_module
from tests.servers import MlflowServer

pytestmark = pytest.mark.long


@pytest.fixture
def server(template_store: Path, small_disk: Path, tmp_path: Path) -> Iterator[MlflowServer]:
    """Its database and its artifacts are on the small disk."""
    shutil.copy(template_store, small_disk / "mlflow.db")
    (small_disk / "artifacts").mkdir()
    (folder := tmp_path / "server").mkdir()
    (folder / "artifacts").symlink_to(small_disk / "artifacts")
    server = MlflowServer(folder, f"sqlite:///{small_disk / 'mlflow.db'}")
    server.start()
    yield server
    server.kill()


def write(server: MlflowServer, work_dir: Path) -> MlflowRun:
    client = connect(server.url)
    entity = create_run(client, "disk", "a run")
    with MlflowRun(client, entity, work_dir / entity.info.run_id) as run:
        run.log_file(bytes(200_000), "reports/large.bin")
        run.log_metrics({"valid/loss": 0.5}, 1)
    return run


def test_files_wait_until_the_artifact_store_has_room(
    server: MlflowServer, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "LAST_TRIES_SECONDS", (0.0,))
    client = connect(server.url)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 150_000))
    run = write(server, tmp_path / "runs")
    found = client.get_run(run.id)
    assert (found.info.status, found.data.tags["unsent"]) == ("FINISHED", "reports/large.bin")
    assert found.data.metrics == {"valid/loss": 0.5}
    filler.unlink()
    assert dict(send_pending(client, tmp_path / "runs"))[run.id].startswith("sent ")
    [file] = client.list_artifacts(run.id, "reports")
    assert (file.path, file.file_size) == ("reports/large.bin", 200_000)
    assert "unsent" not in client.get_run(run.id).data.tags


def test_a_read_only_database_is_waited_for(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE_SECONDS", 0.5)
    client = connect(server.url)
    entity = create_run(client, "disk", "a run")
    writable, path = server.store, server.store.removeprefix("sqlite:///")
    with MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id) as run:
        restart(server, f"sqlite:///file:{path}?mode=ro&uri=true")
        run.log_metrics({"valid/loss": 0.5}, 1)
    assert run.trouble
    assert run.set_aside == 0
    [pending] = list_pending(tmp_path / "runs")
    assert pending.unsent_bytes == run.unsent_bytes > 0
    restart(server, writable)
    assert dict(send_pending(client, tmp_path / "runs"))[run.id].startswith("sent ")
    found = client.get_run(run.id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"valid/loss": 0.5})


def restart(server: MlflowServer, store: str) -> None:
    server.kill()
    server.store = store
    server.start()
