"""``kmnist runs list``, and ids of which the first characters are enough."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.cli.options import run_folder
from kmnist.config import TrainConfig
from kmnist.errors import CheckpointError, SettingError, TrackingError
from kmnist.tracking import connect
from kmnist.tracking.listing import list_runs
from kmnist.tracking.read import full_run_id, runs_by_id
from tests.commands import Command

CNN = TrainConfig.parse({"arch": "cnn", "epochs": 3})


def make(client: MlflowClient, name: str, *, at: int, experiment: str = "0", **tags: str) -> str:
    """A finished run of CNN's settings that began ``at`` milliseconds after the epoch."""
    run = client.create_run(experiment, at, {"dataset": "kmnist", **tags}, name)
    run_id = str(run.info.run_id)
    for key, text in CNN.as_text().items():
        client.log_param(run_id, key, text)
    client.log_metric(run_id, "best/valid_accuracy", 0.9625)
    client.set_terminated(run_id)
    return run_id


@pytest.fixture
def client(store: str) -> MlflowClient:
    return connect(store)


def test_runs_are_listed_newest_first_with_what_differs(client: MlflowClient, kmnist_command: Command) -> None:
    older, newer = make(client, "older", at=1_000), make(client, "newer", at=2_000)
    done = kmnist_command("runs", "list", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["run"] for row in rows] == [newer, older]
    assert rows[0]["settings"] == "arch=cnn epochs=3"
    assert rows[0]["valid accuracy"] == "96.25%"
    assert rows[0]["test accuracy"] == ""
    shown = kmnist_command("runs", "list").stdout.splitlines()
    assert shown[1].startswith(f"{newer[:8]}  newer  arch=cnn epochs=3  96.25%")
    assert len(kmnist_command("runs", "list", "--most", "1").stdout.splitlines()) == 2


def test_filters_name_what_is_listed(client: MlflowClient) -> None:
    other = client.create_experiment("other")
    first = make(client, "a", at=1, dataset="sample")
    second = make(client, "b", at=2, experiment=other)
    trial = make(client, "c", at=3, kind="trial")

    def ids(**filters: str) -> set[str]:
        return {one.run.run_id for one in list_runs(client, most=9, **filters)}  # type: ignore[arg-type]

    assert ids() == {first, second}
    assert {one.run.run_id for one in list_runs(client, most=9, below=True)} == {first, second, trial}
    assert ids(dataset="sample") == {first}
    assert ids(experiment_name="other") == {second}
    assert ids(arch="plain") == set()
    assert ids(status="RUNNING") == set()
    with pytest.raises(SettingError, match=r"there is no such experiment; there are: .*other"):
        ids(experiment_name="nosuch")
    with pytest.raises(SettingError, match="must not hold a quote"):
        ids(dataset="a'b")


def test_more_runs_than_a_page_are_searched(client: MlflowClient) -> None:
    wanted = make(client, "training", at=1)
    for number in range(120):
        client.create_run("0", 10 + number, {"kind": "trial"}, "trial")
    assert [one.run.run_id for one in list_runs(client, most=5)] == [wanted]


def test_the_beginning_of_an_id_is_enough(client: MlflowClient, kmnist_command: Command) -> None:
    run_id = make(client, "a", at=1)
    assert full_run_id(client, run_id[:8]) == run_id
    assert [run.info.run_id for run in runs_by_id(client, [run_id[:8], run_id])] == [run_id]
    assert f"run {run_id}" in kmnist_command("register", run_id[:8]).stderr  # it has no model, but was found
    with pytest.raises(TrackingError, match="no run's id begins with 00000000; kmnist runs list"):
        full_run_id(client, "00000000")
    assert full_run_id(client, "abc") == "abc"  # too short to mean one run


def test_a_beginning_of_several_ids_is_refused_with_their_names(client: MlflowClient, tmp_path: Path) -> None:
    made = [str(client.create_run("0").info.run_id) for _ in range(2)]
    alike = [f"abcd{run_id[4:]}" for run_id in made]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:  # MLflow chooses ids by chance
        for old, new in zip(made, alike):
            database.execute("UPDATE runs SET run_uuid = ? WHERE run_uuid = ?", (new, old))
    with pytest.raises(TrackingError, match=r"several runs begin with abcd: abcd\w+, abcd\w+; type more of it"):
        full_run_id(client, "abcd")
    assert full_run_id(client, alike[0][:31]) == alike[0]


def test_a_run_is_resumed_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    for name in ("abcd1111", "abcd2222"):
        (tmp_path / name).mkdir()
    assert run_folder(tmp_path, "abcd1") == tmp_path / "abcd1111"
    assert run_folder(tmp_path, "abcd1111") == tmp_path / "abcd1111"
    assert run_folder(tmp_path, "nosuch") == tmp_path / "nosuch"
    with pytest.raises(CheckpointError, match=r"several runs begin with it: abcd1111, abcd2222; type more"):
        run_folder(tmp_path, "abcd")
