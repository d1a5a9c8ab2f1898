"""Runs below a run: made once, found again, whatever the server does."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.errors import TrackingError
from kmnist.tracking import ChildRuns, MlflowRun, connect, parent_run, point_to
from tests.servers import MlflowServer, running_mlflow

PARENT = "mlflow.parentRunId"
TAGS = {"study": "s", "trial": "7"}


@pytest.fixture
def client(store: str) -> MlflowClient:
    return connect(store)


@pytest.fixture
def parent_id(client: MlflowClient) -> str:
    return str(parent_run(client, "e", "study s", {"study.id": "1"}).info.run_id)


def children(client: MlflowClient, parent_id: str, folder: Path) -> ChildRuns:
    return ChildRuns(client, parent_id, folder, "checkpoint", {}, print)


def test_the_parent_is_found_by_its_tags(client: MlflowClient, parent_id: str) -> None:
    assert parent_run(client, "e", "study s", {"study.id": "1"}).info.run_id == parent_id
    assert parent_run(client, "e", "study s", {"study.id": "2"}).info.run_id != parent_id


def test_a_child_is_made_once_and_found_again(client: MlflowClient, parent_id: str, tmp_path: Path) -> None:
    start = children(client, parent_id, tmp_path)
    with start("s trial 7", TAGS, again=False) as run:
        pass
    with start("s trial 7", TAGS, again=True) as found:
        pass
    assert found.id == run.id
    with start("s trial 8", {**TAGS, "trial": "8"}, again=True) as other:  # its maker died before it made the run
        pass
    assert other.id != run.id
    tags = client.get_run(run.id).data.tags
    assert (tags[PARENT], tags["trial"], tags["mlflow.runName"]) == (parent_id, "7", "s trial 7")
    assert tags["version.torch"]


def test_what_was_begun_on_another_machine_ends_there(client: MlflowClient, parent_id: str, tmp_path: Path) -> None:
    start = children(client, parent_id, tmp_path / "here")
    with children(client, parent_id, tmp_path / "there")("s trial 7", TAGS, again=False) as lost:
        lost.log_metrics({"valid/loss": 0.5}, 1)
    with start("s trial 7", TAGS, again=True) as run:
        pass
    assert run.id != lost.id
    info = client.get_run(lost.id)
    assert (info.info.status, info.data.tags["end_reason"]) == ("KILLED", "its process died; begun again elsewhere")
    (run.folder / "checkpoint").touch()
    with start("s trial 7", TAGS, again=True) as found:  # the newer one, and its checkpoint is here
        assert found.id == run.id


def test_a_tag_of_a_child_is_written_by_its_parent(client: MlflowClient, parent_id: str, tmp_path: Path) -> None:
    start = children(client, parent_id, tmp_path)
    with start("s trial 7", TAGS, again=False) as child:
        pass
    with MlflowRun(client, client.get_run(parent_id), tmp_path / parent_id) as run:
        run.tag_run(child.id, {"study.best": "true"})
    assert client.get_run(child.id).data.tags["study.best"] == "true"
    assert "study.best" not in client.get_run(run.id).data.tags


def test_the_run_that_mlflow_run_made_points_to_the_studys(client: MlflowClient, parent_id: str) -> None:
    outer = client.create_run("0")
    point_to(client, outer, client.get_run(parent_id), "study s")
    assert parent_id in client.get_run(outer.info.run_id).data.tags["mlflow.note.content"]
    assert parent_run(client, "e", "study s", {"study.id": "3"}, outer).info.run_id == outer.info.run_id
    assert client.get_run(outer.info.run_id).info.run_name == "study s"


def test_what_another_machine_may_still_write_to_is_not_shared(
    client: MlflowClient, parent_id: str, tmp_path: Path
) -> None:
    cut_off = children(client, parent_id, tmp_path / "there")("s trial 7", TAGS, again=False)
    with children(client, parent_id, tmp_path / "here")("s trial 7", TAGS, again=True) as run:
        run.log_metrics({"valid/loss": 0.5}, 1)
    with cut_off:  # it comes back
        cut_off.log_metrics({"valid/loss": 0.9}, 1)
    assert run.id != cut_off.id
    assert [point.value for point in client.get_metric_history(run.id, "valid/loss")] == [0.5]


@pytest.fixture
def server(template_store: Path, tmp_path: Path) -> Iterator[MlflowServer]:
    with running_mlflow(tmp_path / "server", template_store) as server:
        yield server


@pytest.mark.long
def test_a_server_that_is_away_is_waited_for(server: MlflowServer, tmp_path: Path) -> None:
    client = connect(server.url)
    parent_id = str(parent_run(client, "e", "study s", {"study.id": "1"}).info.run_id)
    said: list[str] = []
    start = ChildRuns(client, parent_id, tmp_path, "checkpoint", {}, said.append)
    server.kill()

    def restart() -> None:
        time.sleep(2)
        server.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    with start("s trial 7", TAGS, again=False) as run:
        pass
    restarting.join()
    assert client.get_run(run.id).info.status == "FINISHED"
    assert len(said) == 1
    assert "waiting for the tracking server: no run can be made" in said[0]


def test_a_server_that_stays_away_is_told_in_the_end(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tracking.children.OUTAGE_SECONDS", 0)
    with pytest.raises(TrackingError, match="no run can be made below nothing"):
        children(client, "nothing", tmp_path)("s trial 7", TAGS, again=False)
