"""A run that was collected from its store while part of it waited here: the rest gets a new run."""

import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.tracking import MlflowRun, connect, create_run, list_pending
from tests.commands import Command
from tests.faulty_server import Fault, FaultyServer
from tests.servers import MlflowServer

STAMP = 1_700_000_000_000


@pytest.mark.slow
def test_what_waits_of_a_collected_run_goes_to_a_new_one(
    mlflow_server: MlflowServer, tmp_path: Path, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_dir = tmp_path / "runs"
    monkeypatch.setattr("kmnist.tracking.sender.LAST_TRIES_SECONDS", (0.0,))
    with FaultyServer(mlflow_server.url) as proxy:
        proxy.inject(Fault("PUT .*late.txt", 403))
        client = connect(proxy.url)
        run = create_run(client, "collected", "a run")
        with MlflowRun(client, run, work_dir / run.info.run_id) as writer:
            writer.log_params({"arch": "plain"})
            writer.log_metrics({"valid/loss": 0.5}, 1, STAMP)
            writer.log_file(b"early", "reports/early.txt")
            writer.log_file(b"late", "reports/late.txt")
    [waiting] = list_pending(work_dir)
    client = MlflowClient(mlflow_server.url)
    client.delete_run(run.info.run_id)
    store = ["--backend-store-uri", mlflow_server.store, "--tracking-uri", mlflow_server.url]
    collect = [sys.executable, "-m", "mlflow", "gc", *store, "--run-ids", run.info.run_id]
    subprocess.run(collect, check=True, capture_output=True)

    sync = ["sync", "--work-dir", str(work_dir), "--tracking-uri", mlflow_server.url]
    done = kmnist_command(*sync)
    assert done.returncode == 3
    assert "there is no such run on this server" in done.stdout
    assert [one.run_id for one in list_pending(work_dir)] == [waiting.run_id]
    done = kmnist_command(*sync, "--new-run", "--experiment-name", "collected")
    assert done.returncode == 0, done.stderr
    assert not list_pending(work_dir)
    experiment = client.get_experiment_by_name("collected")
    assert experiment is not None
    [new] = client.search_runs([experiment.experiment_id])
    assert (new.info.status, new.info.start_time) == ("FINISHED", STAMP)
    assert (new.data.params, new.data.metrics) == ({"arch": "plain"}, {"valid/loss": 0.5})
    assert new.data.tags["imported.from"] == run.info.run_id
    assert "unsent" not in new.data.tags
    assert [file.path for file in client.list_artifacts(new.info.run_id, "reports")] == ["reports/late.txt"]
    assert "nothing is waiting" in kmnist_command(*sync, "--new-run").stdout
