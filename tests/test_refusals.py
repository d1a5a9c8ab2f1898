"""Requests that fail in a server that is well otherwise: what can arrive does, the rest waits, and the run tells it."""

import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from packaging.version import Version

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.figures import confusion_matrix_image
from kmnist.network import SavedNetwork
from kmnist.tracking import MlflowRun, connect, create_run, list_pending, reopen_run, send_pending
from kmnist.tracking import sender as sender_module
from kmnist.tracking.journal import Entry, Journal
from tests.commands import Command
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.nets import network
from tests.servers import MlflowServer

pytestmark = pytest.mark.slow
EPOCHS = 3
STAMP = 1_700_000_000_000
CSV, IMAGE, MODEL_FILE = "PUT .*per_class.csv", "PUT .*/images/", r"PUT .*\.pt2"
CREATE, OUTPUTS, FINALIZE = "POST .*/logged-models$", "POST .*/runs/outputs", "PATCH .*/logged-models/"


@pytest.fixture(scope="module")
def shared_proxy(mlflow_server: MlflowServer) -> Iterator[FaultyServer]:
    with FaultyServer(mlflow_server.url) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    """The server is well, and what it refuses is not tried for long."""
    monkeypatch.setattr(sender_module, "LAST_TRIES_SECONDS", (0.0, 0.1))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    shared_proxy.heal()
    return shared_proxy


@pytest.fixture
def run(proxy: FaultyServer, tmp_path: Path) -> MlflowRun:
    """A run that is written through the proxy."""
    client = connect(proxy.url)
    entity = create_run(client, "refusals", "a run")
    return MlflowRun(client, entity, tmp_path / entity.info.run_id)


@pytest.fixture
def truth(mlflow_server: MlflowServer) -> MlflowClient:
    """Asks the server past the proxy."""
    return MlflowClient(mlflow_server.url)


PICTURE = confusion_matrix_image(np.eye(10, dtype=np.int64), SPEC)
SMALL = TrainConfig.parse({"hidden": "8"})


def write(run: MlflowRun) -> None:
    """What a training writes, in a moment."""
    with run:
        run.log_params({"arch": "plain", "hidden": "8"})
        for epoch in range(1, EPOCHS + 1):
            run.log_metrics({"valid/loss": 1 / epoch}, epoch, STAMP + epoch)
            run.log_image(PICTURE, "valid confusion", epoch, STAMP + epoch)
        run.log_file(b"class,f1", "reports/per_class.csv")
        run.log_model(SavedNetwork(network(SMALL), SMALL, SPEC), EPOCHS, {"valid/loss": 1 / EPOCHS}, STAMP + EPOCHS)
        run.log_tags({"result": "good"})


def models_of(client: MlflowClient, run: Run) -> list[LoggedModel]:
    return list(client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"))


def arrived(client: MlflowClient, run_id: str) -> set[str]:
    """What is there of a run, once: doubles are errors."""
    run = client.get_run(run_id)
    points = [(point.step, point.value) for point in client.get_metric_history(run_id, "valid/loss")]
    assert len(points) == len(set(points))
    files = {file.path for folder in ("reports", "images") for file in client.list_artifacts(run_id, folder)}
    models = models_of(client, run)
    assert len(models) <= 1
    outputs = run.outputs.model_outputs if run.outputs else []
    assert [output.model_id for output in outputs] in ([], [model.model_id for model in models])
    there = {
        "points": len(points) == EPOCHS,
        "params": run.data.params == {"arch": "plain", "hidden": "8"},
        "result": run.data.tags.get("result") == "good",
        "csv": "reports/per_class.csv" in files,
        "images": len(files) - ("reports/per_class.csv" in files) == 2 * EPOCHS,
        "model": [model.status for model in models] == ["READY"]
        and bool(outputs)
        and (models[0].params or {}).get("hidden") == "8"
        and [metric.step for metric in models[0].metrics or []] == [EPOCHS]
        and len(client.list_logged_model_artifacts(models[0].model_id)) > 3,
        "status": run.info.status == "FINISHED",
        "no tag": "unsent" not in run.data.tags,
    }
    return {name for name, is_there in there.items() if is_there}


ALL = {"points", "params", "result", "csv", "images", "model", "status", "no tag"}


@pytest.mark.parametrize(
    ("requests", "times"),
    [
        (["POST .*/runs/log-batch", "POST .*/runs/update", CSV, IMAGE, "POST .*/runs/(set|delete)-tag"], 2),
        ([CREATE, "POST .*/logged-models/.*/params"], 1),  # the next try finds them done
        ([OUTPUTS, FINALIZE], 1),
        ([MODEL_FILE], 2),
    ],
)
def test_answers_lost_after_the_server_did_what_was_asked(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient, requests: list[str], times: int
) -> None:
    faults = [Fault(request, "drop answer", last=times) for request in requests]
    proxy.inject(*faults)
    write(run)
    assert [proxy.failed[fault] for fault in faults] == [times] * len(faults)
    assert arrived(truth, run.id) == ALL
    assert not list_pending(run.folder.parent)


def test_a_creation_that_mlflow_repeats_by_itself_leaves_one_model(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    proxy.inject(Fault(CREATE, "drop answer", last=1))
    write(run)
    creations = sum(number for name, number in proxy.requests.items() if name.endswith("/logged-models"))
    assert creations == (2 if Version(mlflow.__version__) < Version("3.18") else 1)  # from then on, MLflow repeats none
    assert arrived(truth, run.id) == ALL


@pytest.mark.parametrize(
    ("requests", "kind", "missing", "told"),
    [
        (CSV, 403, "csv", "reports/per_class.csv"),
        *(pytest.param(CSV, kind, "csv", "reports/per_class.csv", marks=pytest.mark.long) for kind in (400, 401, 500)),
        (IMAGE, 413, "images", "images/valid confusion+step+1"),
        *((MODEL_FILE, kind, "model", "model") for kind in (413, "drop answer")),
        *(
            pytest.param(MODEL_FILE, kind, "model", "model", marks=pytest.mark.long)
            for kind in (401, 500, 502, "cut request", "cut answer")
        ),
        (CREATE, 500, "model", "model"),
        (OUTPUTS, 400, "model", "model"),
    ],
)
def test_what_is_refused_for_good_holds_up_nothing_and_arrives_later(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient, requests: str, kind: Kind, missing: str, told: str
) -> None:
    proxy.inject(Fault(requests, kind))
    write(run)
    assert arrived(truth, run.id) == ALL - {missing, "no tag"}
    found = truth.get_run(run.id)
    assert found.data.tags["unsent"].startswith(told)
    assert "PENDING" not in [model.status for model in models_of(truth, found)]
    [pending] = list_pending(run.folder.parent)
    assert (pending.run_id, pending.set_aside[0][0][: len(told)]) == (run.id, told)
    if isinstance(kind, int):
        assert str(kind) in pending.set_aside[0][1]
    run.discard_folder()  # must keep what was not sent

    proxy.heal()
    [(run_id, outcome)] = send_pending(connect(proxy.url), run.folder.parent)
    assert (run_id, outcome[:5]) == (run.id, "sent ")
    assert arrived(truth, run.id) == ALL
    assert not list_pending(run.folder.parent)


def wait_for_one_set_aside(run: MlflowRun) -> None:
    for _ in range(200):
        if run.set_aside:
            return
        time.sleep(0.05)
    raise TimeoutError


def test_a_tag_that_arrives_late_does_not_replace_a_newer_one(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient
) -> None:
    with run:
        proxy.inject(Fault("POST .*/runs/log-batch", 500))
        run.log_tags({"a": "old", "b": "old"})
        wait_for_one_set_aside(run)
        proxy.heal()
        run.log_tags({"a": "new"})
    tags = truth.get_run(run.id).data.tags
    assert (tags["a"], tags["b"]) == ("new", "old")
    assert "unsent" not in tags


def test_a_status_that_arrives_late_does_not_replace_a_newer_one(
    proxy: FaultyServer, truth: MlflowClient, tmp_path: Path
) -> None:
    client = connect(proxy.url)
    entity = create_run(client, "refusals", "a run")
    client.set_terminated(entity.info.run_id, "KILLED")
    proxy.inject(Fault("POST .*/runs/update", 500))
    with MlflowRun(client, reopen_run(client, entity.info.run_id), tmp_path / entity.info.run_id) as run:
        wait_for_one_set_aside(run)
        run.log_metrics({"valid/loss": 1.0}, 1)
    found = truth.get_run(run.id)
    assert (found.info.status, found.data.tags["unsent"]) == ("KILLED", "status FINISHED")  # RUNNING is over
    assert found.data.metrics["valid/loss"] == 1.0
    proxy.heal()
    for _ in range(2):
        list(send_pending(client, tmp_path))
        assert truth.get_run(run.id).info.status == "FINISHED"


def test_a_tag_that_cannot_be_taken_away_is_kept_in_mind(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient
) -> None:
    proxy.inject(Fault(CSV, 500, last=1), Fault("/runs/delete-tag", 500))
    write(run)
    assert arrived(truth, run.id) == ALL - {"no tag"}
    assert not run.is_complete
    assert [pending.set_aside for pending in list_pending(run.folder.parent)] == [[]]
    proxy.heal()
    list(send_pending(connect(proxy.url), run.folder.parent))
    assert arrived(truth, run.id) == ALL
    assert not list_pending(run.folder.parent)


@pytest.mark.long
def test_much_that_is_refused_delays_the_end_no_longer_than_little_and_all_gets_its_turn(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "MOST_RETRYING_SECONDS", 0.0)
    monkeypatch.setattr(sender_module, "RETRY_SECONDS", 1000.0)
    proxy.inject(Fault(IMAGE, 413))
    with run:
        for epoch in range(1, 4):
            run.log_image(PICTURE, "valid confusion", epoch, STAMP + epoch)
    assert run.set_aside == 6
    asked = sorted(number for name, number in proxy.requests.items() if "/images/" in name)
    assert sum(asked) <= sender_module.TRIES + 5 + 3  # one a pass: one pass when it was idle, two at the end
    assert asked[-2] > 1  # not always the same one
    proxy.heal()
    list(send_pending(connect(proxy.url), run.folder.parent))
    assert len(truth.list_artifacts(run.id, "images")) == 6


@pytest.mark.parametrize("kind", [401, 429, 503])
@pytest.mark.long
def test_a_server_that_refuses_everything_is_waited_for_and_nothing_is_set_aside(
    proxy: FaultyServer, run: MlflowRun, truth: MlflowClient, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(journal: Journal, entry: Entry, answer: str) -> None:
        raise AssertionError(answer)

    monkeypatch.setattr(Journal, "set_aside", never)
    proxy.inject(fault := Fault("/runs/|artifacts|logged-models", kind, last=8))
    write(run)
    assert proxy.failed[fault] == 8
    assert arrived(truth, run.id) == ALL


def test_a_server_that_asks_for_time_is_given_it(proxy: FaultyServer, run: MlflowRun, truth: MlflowClient) -> None:
    busy, asked = Fault("/runs/(log-batch|set-tag)", 429, last=3), Fault("/runs/get", 429, last=1, seconds=2)
    proxy.inject(busy, asked)
    began = time.monotonic()
    with run:
        run.log_params({"arch": "plain"})
        for _ in range(600):
            if truth.get_run(run.id).data.params:
                break
            time.sleep(0.05)
        assert time.monotonic() - began >= 2
    assert (proxy.failed[busy], proxy.failed[asked]) == (3, 1)
    assert truth.get_run(run.id).info.status == "FINISHED"


def test_the_command_says_last_what_has_not_arrived_and_its_status_too(
    proxy: FaultyServer, truth: MlflowClient, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.url)
    experiment_id = truth.create_experiment("command")
    proxy.inject(Fault(CSV, 413))
    done = kmnist_command(
        "train", "--experiment-name", "command", "--dataset", "sample", "--hidden", "8", "--epochs", "2"
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("kmnist: trained, but the tracking server has not taken all of this")
    assert done.stderr.splitlines()[-1].endswith("Send it with: kmnist sync --work-dir runs")
    shown = kmnist_command("sync", "--show")
    assert shown.returncode == 0
    assert "refused: reports/per_class.csv: 413 Client Error" in shown.stdout
    again = kmnist_command("sync")
    assert again.returncode == 3
    assert "delete the run's folder" in again.stderr
    proxy.heal()
    assert kmnist_command("sync").returncode == 0
    assert kmnist_command("sync").stdout == "nothing is waiting in runs\n"
    [found] = truth.search_runs([experiment_id])
    assert (found.info.status, "unsent" in found.data.tags) == ("FINISHED", False)
    assert "reports/per_class.csv" in [file.path for file in truth.list_artifacts(found.info.run_id, "reports")]
