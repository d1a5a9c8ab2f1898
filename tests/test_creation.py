"""A run is made once, whatever happens to the request and to its answer."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from _pytest.mark import ParameterSet
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from packaging.version import Version

from kmnist.errors import TrackingError
from kmnist.tracking import ChildRuns, connect, create_run, parent_run
from tests.commands import Command
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.servers import MlflowServer

# aiohttp warns of a study's interactive page, which is large for one that serves many.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Sending a large body")]
CREATE = "POST .*/runs/create"


@pytest.fixture
def server(mlflow_server: MlflowServer) -> MlflowServer:
    return mlflow_server


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[FaultyServer]:
    with FaultyServer(server.url) as proxy:
        yield proxy


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def at_length(*kinds: Kind) -> list[ParameterSet]:
    """These faults when there is time."""
    return [pytest.param(kind, marks=pytest.mark.long) for kind in kinds]


def runs_of(server: MlflowServer, experiment: str) -> list[Run]:
    """All of them, deleted ones, too; read past the proxy."""
    client = MlflowClient(server.url)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], run_view_type=ViewType.ALL))


@pytest.mark.parametrize(
    "requests", [CREATE, "POST .*/experiments/create", "GET .*/get-by-name", "POST .*/runs/search"]
)
@pytest.mark.parametrize("kind", ["drop answer", 503, *at_length("drop request", "cut answer", 429, 500)])
def test_a_run_and_its_experiment_are_made_once_though_a_request_fails(
    requests: str, kind: Kind, server: MlflowServer, proxy: FaultyServer, experiment: str
) -> None:
    client = connect(proxy.url)
    proxy.inject(fault := Fault(requests, kind, last=1, seconds=1))
    made = create_run(client, experiment, "a run")
    assert proxy.failed[fault] == 1
    [run] = runs_of(server, experiment)
    assert (run.info.run_id, run.info.status, run.info.run_name) == (made.info.run_id, "RUNNING", "a run")


def test_what_others_repeat_on_the_way_is_deleted(
    server: MlflowServer, proxy: FaultyServer, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(proxy.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # as a user may have set it
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    proxy.inject(Fault(CREATE, "drop answer", last=2))
    made = create_run(client, experiment, "a run")
    runs = {run.info.run_id: run.info.lifecycle_stage for run in runs_of(server, experiment)}
    assert runs.pop(made.info.run_id) == "active"
    repeated = 2 if Version(mlflow.__version__) < Version("3.18") else 0  # from then on, MLflow repeats no creation
    assert list(runs.values()) == ["deleted"] * repeated


@pytest.mark.parametrize("kind", [400, 401, 403])
def test_a_refusal_is_told_at_once(kind: Kind, proxy: FaultyServer, experiment: str) -> None:
    client = connect(proxy.url)
    proxy.inject(Fault(CREATE, kind))
    began = time.monotonic()
    with pytest.raises(TrackingError, match=f"no run can be made in .*{kind}"):
        create_run(client, experiment, "a run")
    assert time.monotonic() - began < 5


def test_a_server_that_asks_to_wait_is_waited_for_but_not_for_ever(
    proxy: FaultyServer, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmnist.tracking.creation.START_SECONDS", 2)
    client = connect(proxy.url)
    proxy.inject(Fault(CREATE, 429, seconds=3600))
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"no run can be made in .*429"):
        create_run(client, experiment, "a run")
    assert time.monotonic() - began < 15


def test_two_commands_at_once_make_one_experiment(server: MlflowServer, experiment: str) -> None:
    client = connect(server.url)
    threads = [threading.Thread(target=create_run, args=(client, experiment, "a run")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [run.info.lifecycle_stage for run in runs_of(server, experiment)] == ["active"] * 8


@pytest.mark.long
@pytest.mark.parametrize("kind", ["drop request", "drop answer", "cut answer", 500, 503, 403])
def test_a_study_and_its_trials_have_one_run_each(
    kind: Kind, server: MlflowServer, proxy: FaultyServer, experiment: str, tmp_path: Path
) -> None:
    client = connect(proxy.url)
    if kind != 403:  # at its start a command does not wait for that to change
        proxy.inject(Fault(CREATE, kind, last=1), Fault("POST .*/runs/search", kind, 2, 3))
    parent = parent_run(client, experiment, "study s", {"study.id": experiment})
    assert parent_run(client, experiment, "study s", {"study.id": experiment}).info.run_id == parent.info.run_id
    proxy.heal()
    start = ChildRuns(client, parent.info.run_id, tmp_path, "checkpoint", {}, print)
    tags = {"study": "s", "trial": "7"}
    proxy.inject(Fault(CREATE, kind, last=1), Fault("POST .*/runs/search", kind, last=1))
    for again in (False, True):
        with start("s trial 7", tags, again=again) as trial:
            proxy.inject(Fault("POST .*/runs/search", kind, last=1))
    runs = {run.info.run_id: run.info.status for run in runs_of(server, experiment)}
    assert runs == {parent.info.run_id: "RUNNING", trial.id: "FINISHED"}


@pytest.mark.long
def test_no_answer_to_a_creation_arrives_and_the_commands_work(
    server: MlflowServer,
    proxy: FaultyServer,
    store: str,
    experiment: str,
    kmnist_command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
    proxy.inject(lost := Fault(CREATE, "drop answer"))
    settings = ["--dataset", "sample", "--hidden", "16", "--quiet", "--experiment-name", experiment]
    done = kmnist_command("train", *settings, "--epochs", "1")
    assert done.returncode == 0, done.stderr
    study = ["--epochs", "3", "--trials", "2", "--pruner", "none", "--confirm-seeds", "0", "--study", "s"]
    done = kmnist_command("tune", *settings, *study)
    assert done.returncode == 0, done.stderr
    kinds = sorted(run.data.tags.get("kind", "training") for run in runs_of(server, experiment))
    assert kinds == ["study", "training", "trial", "trial"]
    statuses = sorted((run.info.run_name, run.info.status) for run in runs_of(server, experiment))
    assert {status for _, status in statuses} == {"FINISHED"}, statuses
    assert proxy.failed[lost] == 4
