"""The benchmark of engines, at its smallest: a simulated cluster loses a node in mid-study, and the study nothing."""

import importlib.util
import os
import subprocess
import sys
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from optuna.storages import InMemoryStorage

from kmnist.errors import SettingError, StudyError
from kmnist.jobs.engine import Engine, Seat
from kmnist.jobs.executor import Executor
from kmnist.jobs.local import LocalExecutor
from kmnist.jobs.reach import require_reachable
from kmnist.tuning.storage import open_storage
from tests.postgres import Postgres
from tests.servers import MlflowServer


class OnManyNodes(LocalExecutor):
    """As a simulated cluster: all of its nodes are on this machine."""

    is_local = False


class OnManyMachines(OnManyNodes):
    is_one_host = False


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


def test_a_file_of_this_machine_is_refused_where_workers_are_on_other_nodes(tmp_path: Path) -> None:
    here: Executor = LocalExecutor()
    there: Executor = OnManyNodes()
    file = open_storage(str(tmp_path / "studies.log"))
    require_reachable(here, file, "sqlite:///mlflow.db")
    with pytest.raises(StudyError, match=r"studies.log: is a file of this machine, and the cluster has others"):
        require_reachable(there, file, "http://127.0.0.1:5000")
    database = At("postgresql://user@127.0.0.1/studies")
    with pytest.raises(StudyError, match=r"tracking_uri=sqlite:///mlflow.db: is of this machine"):
        require_reachable(there, database, "sqlite:///mlflow.db")
    require_reachable(there, database, "http://localhost:5000")


class At:
    """A database, to which nobody connects."""

    is_file = False

    def __init__(self, shown: str) -> None:
        self.shown = self.address = shown
        self.optuna = InMemoryStorage()

    def lock(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize(
    ("storage", "tracking", "wrong"),
    [
        (
            "postgresql://user:***@127.0.0.1:5432/studies",
            "http://mlflow:5000",
            r"storage .*\*@127.0.0.1.* 127.0.0.1 is",
        ),
        ("postgresql://user@localhost/studies", "http://mlflow:5000", "localhost is another machine for each node"),
        ("postgresql:///studies", "http://mlflow:5000", "a socket of this machine is .*in --storage by a host that"),
        (
            "postgresql://user@db/studies",
            "http://me:secret@127.0.1.1:5000",
            r"me:\*\*\*@127.0.1.1.*in --tracking-uri by",
        ),
        ("postgresql://user@db/studies", "http://[::1]:5000", "::1 is another"),
        ("postgresql://user@db/studies", "http://0.0.0.0:5000", "0.0.0.0 is another"),
        ("postgresql://user@10.0.0.1/studies", "http://10.0.0.2:5000", None),
    ],
)
def test_an_address_that_is_another_machine_for_each_node_is_refused(
    storage: str, tracking: str, wrong: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGHOST", raising=False)
    with nullcontext() if wrong is None else pytest.raises(StudyError, match=wrong):
        require_reachable(OnManyMachines(), At(storage), tracking)
    require_reachable(OnManyNodes(), At(storage), tracking)


def test_each_worker_has_a_device_of_its_own_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmnist.training.compute.resolve_device", torch.device)  # as if they were there
    for engine in (Engine(workers=3, devices=("cuda:0", "cuda:1")), Engine(workers="auto", devices=("cuda:0", "cpu"))):
        with engine.open() as executor:
            found = engine.seats(executor)
        assert found == [Seat(device, 1) for device in (*engine.devices, "cuda:0")[: len(found)]]
        assert len(found) == (3 if engine.workers == 3 else 2)


@pytest.mark.parametrize(
    ("devices", "cores", "seats"),
    [
        (["cuda:0", "cuda:1"], 16, [Seat("cuda:0", 1), Seat("cuda:1", 1)]),
        (["cuda"], 16, [Seat("cuda", None)]),
        (["cpu"], 3, [Seat("cpu", 1)] * 3),
        (["cpu"], 1, [Seat("cpu", None)]),  # as many threads as are fastest
    ],
)
def test_auto_is_a_worker_for_each_gpu_or_for_each_core_where_there_is_none(
    devices: list[str], cores: int, seats: list[Seat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.training.compute.resolve_devices", lambda: devices)
    monkeypatch.setattr("kmnist.cores.available_cores", lambda: cores)
    engine = Engine(workers="auto")
    with engine.open() as executor:
        assert engine.seats(executor) == seats


def test_what_is_of_no_use_to_local_workers_or_does_not_exist_is_refused() -> None:
    with pytest.raises(SettingError, match=r"ray_address, num_gpus: of no use to engine=local; add --engine ray"):
        Engine(address="host:6379", gpus=0.5).open()
    with pytest.raises(SettingError, match=r"device=cuda:99: cannot be used on this machine"):
        Engine(devices=("cpu", "cuda:99")).open()
