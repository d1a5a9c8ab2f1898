"""The benchmark of engines, at its smallest: a simulated cluster loses a node in mid-study, and the study nothing."""

import importlib.util
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from kmnist.errors import StudyError
from kmnist.jobs.executor import Executor
from kmnist.jobs.local import LocalExecutor
from kmnist.jobs.reach import require_reachable
from kmnist.tuning.storage import open_storage
from tests.postgres import Postgres
from tests.servers import MlflowServer


class OnManyMachines(LocalExecutor):
    is_local = False


@pytest.mark.long
@pytest.mark.timeout(500)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'kmnist[ray]'")
def test_a_node_that_dies_costs_no_trial_and_no_epoch(postgres: Postgres, tmp_path: Path) -> None:
    server = MlflowServer(tmp_path)
    server.start()
    try:
        storage = postgres.create_database(f"cluster_{uuid.uuid4().hex[:12]}")
        places = ["--storage", storage, "--tracking-uri", server.url]
        size = ["--trials", "5", "--epochs", "3", "--images", "sample"]
        command = [sys.executable, "-m", "experiments.benchmarks.engines", "cluster", *size, *places]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=450)
    finally:
        server.kill()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a node is killed" in done.stdout
    ended = "{'COMPLETE': 5}: 0 lost, 0 doubled, 0 in a wrong status, 0 runs with a gap; 15 of 15 epochs"
    assert ended in done.stdout


def test_what_workers_on_other_machines_cannot_reach_is_refused(tmp_path: Path) -> None:
    here: Executor = LocalExecutor()
    there: Executor = OnManyMachines()
    file = open_storage(str(tmp_path / "studies.log"))
    require_reachable(here, file, "sqlite:///mlflow.db")
    with pytest.raises(StudyError, match=r"studies.log: is a file of this machine, and the cluster has others"):
        require_reachable(there, file, "http://127.0.0.1:5000")
    with pytest.raises(StudyError, match=r"postgresql://user@host/database"):
        require_reachable(there, file, "sqlite:///mlflow.db")
