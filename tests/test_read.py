"""All runs of an experiment, however many trials lie above them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.tracking import connect
from kmnist.tracking.collect import runs_of_experiment
from tests.faulty_server import Fault, FaultyServer
from tests.servers import MlflowServer


def test_runs_are_found_behind_any_number_of_trials(store: str, tmp_path: Path) -> None:
    client = connect(store)
    experiment = client.create_experiment("many trials")
    made = {
        kind: client.create_run(experiment, start_time=1, tags={"kind": kind} if kind else {}).info.run_id
        for kind in ("", "confirmation", "ensemble", "somebody's", "study", "evaluation", "report")
    }
    trials = [f"{number:032x}" for number in range(1_001)]  # newer, and more than a page
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.executemany(
            "INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage, status, start_time) "
            "VALUES (?, ?, 'active', 'FINISHED', 2)",
            [(trial, experiment) for trial in trials],
        )
        database.executemany("INSERT INTO tags VALUES ('kind', 'trial', ?)", [(trial,) for trial in trials])
    found = {run.info.run_id for run in runs_of_experiment(client, "many trials")}
    assert found == {made[kind] for kind in ("", "confirmation", "ensemble", "somebody's")}


@pytest.mark.slow
def test_a_server_that_does_not_know_the_question_is_asked_for_all(mlflow_server: MlflowServer) -> None:
    client = MlflowClient(mlflow_server.url)
    experiment = client.create_experiment("old server")
    run = client.create_run(experiment)
    client.create_run(experiment, tags={"kind": "trial"})
    with FaultyServer(mlflow_server.url) as proxy:
        proxy.inject(Fault("POST .*/runs/search", 400, last=1))
        found = runs_of_experiment(MlflowClient(proxy.url), "old server")
    assert [one.info.run_id for one in found] == [run.info.run_id]
