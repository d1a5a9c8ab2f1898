"""A journal that somebody else made: it sends and deletes nothing outside its folder, and tags no other runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.tracking import connect, create_run, list_pending, send_pending
from kmnist.tracking import sender as sender_module
from kmnist.tracking.records import Record


@pytest.fixture
def client(store: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setattr(sender_module, "LAST_TRIES_SECONDS", (0.0,))
    return connect(store)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return str(create_run(client, "e", "a run").info.run_id)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file outside the work folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder / "secret"


def journal(folder: Path, *records: object) -> Path:
    """Below ``folder``, by hand; gives the folder of its payloads."""
    payloads = folder / "payloads"
    payloads.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return payloads


def a_link(payloads: Path, victim: Path) -> None:
    (payloads / "link").symlink_to(victim)


def a_link_to_its_folder(payloads: Path, victim: Path) -> None:
    (payloads / "link").symlink_to(victim.parent)


def a_link_within_a_folder(payloads: Path, victim: Path) -> None:
    (payloads / "folder").mkdir()
    (payloads / "folder" / "secret").symlink_to(victim)


def a_pipe(payloads: Path, victim: Path) -> None:
    os.mkfifo(payloads / "pipe")


def nothing(payloads: Path, victim: Path) -> None: ...


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("{victim}", nothing),
        ("../../../home/secret", nothing),
        ("..", nothing),
        ("", nothing),
        ("link", a_link),
        ("link", a_link_to_its_folder),
        ("link/secret", a_link_to_its_folder),
        ("folder", a_link_within_a_folder),
        ("pipe", a_pipe),
        ("not there", nothing),
    ],
)
@pytest.mark.parametrize("op", ["file", "model"])
def test_no_file_from_elsewhere_is_sent_or_deleted(
    client: MlflowClient,
    run_id: str,
    tmp_path: Path,
    victim: Path,
    op: str,
    name: str,
    make: Callable[[Path, Path], None],
) -> None:
    record = {
        "op": op,
        "payload": name.format(victim=victim),
        "folder": "",
        "metrics": {},
        "step": 1,
        "timestamp_ms": 1,
    }
    make(journal(tmp_path / "runs" / run_id, record, {"op": "tags", "tags": {"after": "it"}}), victim)
    list(send_pending(client, tmp_path / "runs"))
    assert victim.read_text() == "secret"
    assert client.list_artifacts(run_id) == []
    found = client.get_run(run_id)
    assert client.search_logged_models([found.info.experiment_id]) == []
    assert found.data.tags["after"] == "it"
    [pending] = list_pending(tmp_path / "runs")
    [(_, answer)] = pending.set_aside
    assert "never sent" in answer or "is gone" in answer


@pytest.mark.parametrize("name", ["journal.jsonl", "sent", "sent.tmp", "payloads", "lock"])
def test_a_folder_with_links_is_left_alone(client: MlflowClient, tmp_path: Path, victim: Path, name: str) -> None:
    folder = tmp_path / "runs" / "0"
    journal(folder)
    path = folder / name
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.symlink_to(victim.parent if name == "payloads" else victim)
    [(_, outcome)] = send_pending(client, tmp_path / "runs")
    assert "left alone" in outcome
    assert victim.read_text() == "secret"


def test_only_runs_below_its_own_are_tagged(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    foreign = create_run(client, "e", "foreign").info.run_id
    child = create_run(client, "e", "child", {"mlflow.parentRunId": run_id}).info.run_id
    tags = [{"op": "tag_run", "run_id": one, "tags": {"study.best": "true"}} for one in (foreign, child, "nothing")]
    journal(tmp_path / "runs" / run_id, *tags)
    list(send_pending(client, tmp_path / "runs"))
    assert "study.best" not in client.get_run(foreign).data.tags
    assert client.get_run(child).data.tags["study.best"] == "true"
    [pending] = list_pending(tmp_path / "runs")
    assert [what for what, _ in pending.set_aside] == [f"tags of run {foreign}", "tags of run nothing"]


NONSENSE: list[object] = [
    {},
    [],
    "text",
    {"op": None},
    {"op": ["file"]},
    {"op": "damaged"},
    {"op": "status", "status": "BEST", "timestamp_ms": 1},
    {"op": "status"},
    {"op": "tags", "tags": "a"},
    {"op": "tags", "tags": {"a": {"b": 1}}},
    {"op": "metrics", "metrics": {"a": "b"}, "step": None, "timestamp_ms": 1},
    {"op": "params", "params": None},
    {"op": "tag_run", "run_id": [], "tags": []},
    {"op": "inputs", "dataset": {"x": 1}, "context": 1},
    {"op": "file", "payload": None, "folder": 1},
    {"op": "file", "payload": "000000/a", "folder": "../../elsewhere"},
    {"op": "model", "payload": "000000", "metrics": []},
]


def test_damaged_records_hold_up_nothing(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    work_dir = tmp_path / "runs"
    end: Record = {"op": "status", "status": "FINISHED", "timestamp_ms": 1}
    payloads = journal(
        work_dir / run_id, *NONSENSE, {"op": "metrics", "metrics": {"a": 1}, "step": 1, "timestamp_ms": 1}, end
    )
    (payloads / "000000").mkdir()
    (payloads / "000000" / "a").write_text("a")
    for _ in range(2):
        list(send_pending(client, work_dir))
        found = client.get_run(run_id)
        assert (found.info.status, found.data.metrics) == ("FINISHED", {"a": 1.0})
        [pending] = list_pending(work_dir)
        assert len(pending.set_aside) == len(NONSENSE) - 2  # a status that a later one replaces is of no interest
    assert (payloads / "000000" / "a").exists()
    assert not list(tmp_path.rglob("elsewhere"))
