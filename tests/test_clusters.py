"""Commands on Ray: an ensemble whose members its workers train, and what a cluster of several machines is told."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.commands import Command, environment
from tests.test_tune import curve, runs_of, study_in

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'kmnist[ray]'"),
]
SMALL = ["--dataset", "sample", "--hidden", "16", "--epochs", "2", "--precision", "fp32"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes at two addresses: two machines, as far as Ray can tell."""
    from kmnist.jobs.ray import ENVIRONMENT, OWN_CLUSTER

    for name, text in {**ENVIRONMENT, **OWN_CLUSTER}.items():
        monkeypatch.setenv(name, text)
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    simulated = Cluster(initialize_head=True, head_node_args=head)
    try:
        simulated.add_node(num_cpus=1, node_ip_address="127.0.0.2")
        yield simulated
    finally:
        simulated.shutdown()


@pytest.fixture
def one_node() -> Iterator[Any]:
    """A cluster that was begun before the command, on this machine."""
    from ray.cluster_utils import Cluster

    simulated = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield simulated
    simulated.shutdown()


def test_a_file_is_refused_on_a_cluster_before_anything_starts(
    cluster: Any, store: str, kmnist_command: Command
) -> None:
    place = ["--engine", "ray", "--ray-address", cluster.address]
    done = kmnist_command("ensemble", "bag", *SMALL, "--members", "2", *place)
    assert done.returncode == 1
    assert "studies.log: is a file of this machine, and the cluster has others" in done.stderr
    from kmnist.jobs.ray import RayExecutor

    with RayExecutor(cluster.address, cpus=1, gpus=0, local_cpus=1) as executor:
        assert (executor.is_local, executor.is_one_host, executor.room()) == (False, False, 2)


def test_members_of_an_ensemble_are_trained_by_rays_workers(store: str, kmnist_command: Command) -> None:
    done = kmnist_command("ensemble", "bag", *SMALL, "--members", "2", "--engine", "ray", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "bag of 2 plain: test accuracy" in done.stdout
    parent, members = runs_of(store)
    assert parent.info.status == "FINISHED"
    assert sorted(run.info.run_id for run in members) == sorted(parent.data.tags["ensemble.members"].split(","))
    assert {run.data.params["subset"] for run in members} == {"bootstrap"}
    assert all([step for step, _ in curve(store, member)] == [1, 2] for member in members)


def test_a_cluster_that_does_not_begin_is_an_error_of_a_line(
    store: str, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr("ray.init", init)
    done = kmnist_command("ensemble", "bag", *SMALL, "--members", "2", "--engine", "ray")
    assert done.returncode == 1
    assert "engine=ray: no cluster could be begun on this machine (The current node timed out" in done.stderr


@pytest.mark.skipif(shutil.which("uv") is None, reason="needs uv")
@pytest.mark.parametrize("begun_before", [False, True])
def test_under_uv_run_workers_write_to_the_files_of_the_command(
    begun_before: bool, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Ray starts workers under ``uv run`` in a copy of the folder: of a cluster that was begun before, still."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.11"\n')
    place = ["--ray-address", request.getfixturevalue("one_node").address] if begun_before else []
    options = ["--trials", "2", "--workers", "2", "--confirm-seeds", "0", "--pruner", "none", *place]
    command = ["uv", "run", "--active", "--no-sync", "--offline", "python", "-m", "kmnist", "tune"]
    done = subprocess.run(
        [*command, *SMALL, "--study", "s", "--engine", "ray", *options],
        cwd=tmp_path,
        env=environment("sqlite:///mlflow.db") | {"VIRTUAL_ENV": sys.prefix},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = study_in(str(tmp_path / "studies.log"), "s").trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
    assert {run.info.status for run in runs_of(store)[1]} == {"FINISHED"}
