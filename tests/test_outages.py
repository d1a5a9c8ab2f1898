"""Training with a tracking server that dies, hangs, refuses, or a disk that is full: nothing waits, nothing is lost."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.config import TrainConfig
from kmnist.experiment import Result, Splits
from kmnist.tracking import MlflowRun, connect, create_run, list_pending, send_pending
from kmnist.tracking import pending as pending_module
from kmnist.tracking import run as run_module
from kmnist.training.fit import Epoch
from tests.commands import Command, environment
from tests.nets import on_valid, train
from tests.servers import MlflowServer, running_mlflow


@pytest.fixture(scope="module")
def server(template_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Each test leaves it running."""
    with running_mlflow(tmp_path_factory.mktemp("server"), template_store) as server:
        yield server


def points(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]


def curve(result: Result) -> list[tuple[int, float]]:
    return [(epoch.number, on_valid(epoch).loss) for epoch in result.epochs]


def seconds_between_epochs(result: Result) -> float:
    """What of the time from the first epoch's end to the last one's was not spent in epochs."""
    ends = [epoch.timestamp_ms / 1000 for epoch in result.epochs]
    gaps = [end - before for before, end in pairwise(ends)]
    return sum(gaps) - sum(epoch.seconds for epoch in result.epochs[1:])


@pytest.mark.slow
def test_a_server_killed_during_training_costs_the_training_nothing_and_loses_nothing(
    server: MlflowServer,
    store: str,
    splits: Splits,
    config: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE_SECONDS", 0.5)
    client = connect(server.url)
    entity = create_run(client, "kmnist", "a run")
    run = MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id)

    def kill_after_two(epoch: Epoch, best: Epoch) -> None:
        if epoch.number == 2:
            server.kill()

    with run:
        result = train(config, splits, run, run.folder, on_epoch=kill_after_two)
    assert run.unsent_bytes > 0
    assert "refused" in str(run.trouble)
    assert seconds_between_epochs(result) < 0.5
    [pending] = list_pending(tmp_path / "runs")
    assert (pending.run_id, pending.unsent_bytes, pending.set_aside) == (run.id, run.unsent_bytes, [])
    run.discard_folder()  # must keep what was not sent

    server.start()
    assert client.get_run(run.id).info.status == "RUNNING"  # it does not know better yet
    for expected in ("sent ", None):  # the second time nothing is left to send
        outcomes = dict(send_pending(connect(server.url), tmp_path / "runs"))
        assert (expected is None and not outcomes) or outcomes[run.id].startswith(str(expected))
    found = client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert points(client, run.id, "valid/loss") == curve(result)
    assert [metric.timestamp for metric in client.get_metric_history(run.id, "valid/loss")] == [
        epoch.timestamp_ms for epoch in result.epochs
    ]
    assert found.data.metrics["test/accuracy"] == result.test.accuracy
    assert len(client.list_artifacts(run.id, "figures")) == 5
    [model] = client.search_logged_models([found.info.experiment_id], f"source_run_id = '{run.id}'")
    assert model.status == "READY"


@pytest.mark.long
def test_the_command_says_that_the_server_went_and_sync_sends_what_waits(
    server: MlflowServer, kmnist_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)

    def kill_after_an_epoch() -> None:
        while not list((tmp_path / "runs").glob("*/checkpoint.safetensors")):
            time.sleep(0.02)
        server.kill()

    threading.Thread(target=kill_after_an_epoch).start()
    settings = ["--dataset", "sample", "--hidden", "32", "--epochs", "60"]
    done = kmnist_command("train", *settings)
    assert done.returncode == 3, done.stderr
    [folder] = (tmp_path / "runs").iterdir()
    assert f"it waits in {Path('runs') / folder.name}, training goes on" in done.stdout
    assert "nothing is lost" in done.stderr.splitlines()[-1]
    assert f"{folder.name}: " in kmnist_command("sync", "--show").stdout
    server.start()
    assert "bytes wait, last written to" in kmnist_command("sync", "--show").stdout
    assert f"{folder.name}: sent " in kmnist_command("sync").stdout
    assert kmnist_command("sync").stdout == "nothing is waiting in runs\n"
    assert connect(server.url).get_run(folder.name).info.status == "FINISHED"


@pytest.mark.long
def test_a_slow_server_slows_nothing_down(
    server: MlflowServer, store: str, splits: Splits, config: TrainConfig, tmp_path: Path
) -> None:
    client = connect(server.url)
    entity = create_run(client, "kmnist", "a run")
    done = threading.Event()

    def slow_down() -> None:
        while not done.is_set():  # a call takes seconds
            server.freeze()
            done.wait(0.7)
            server.thaw()
            time.sleep(0.05)

    slowing = threading.Thread(target=slow_down)
    with MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id) as run:
        slowing.start()
        began = time.perf_counter()
        result = train(config, splits, run, run.folder)
        took = time.perf_counter() - began
        done.set()
        slowing.join()
    assert seconds_between_epochs(result) < 0.5
    assert took < 60  # the figures are drawn in it
    assert run.unsent_bytes == run.set_aside == 0
    assert points(client, run.id, "valid/loss") == curve(result)
    assert client.get_run(run.id).info.status == "FINISHED"


def test_an_experiment_deleted_during_a_run_is_waited_for(
    store: str, splits: Splits, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(pending_module, "PATIENCE_SECONDS", 0.5)
    client = connect(store)
    entity = create_run(client, "kmnist", "a run")

    def delete_after_two(epoch: Epoch, best: Epoch) -> None:
        if epoch.number == 2:
            client.delete_experiment(entity.info.experiment_id)

    with MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id) as run:
        result = train(config, splits, run, run.folder, on_epoch=delete_after_two)
    assert run.set_aside == 0
    assert run.unsent_bytes > 0
    assert "active" in str(run.trouble)
    assert "still waiting" in dict(send_pending(client, tmp_path / "runs"))[run.id]
    client.restore_experiment(entity.info.experiment_id)
    monkeypatch.setattr(pending_module, "PATIENCE_SECONDS", 15.0)
    assert dict(send_pending(client, tmp_path / "runs"))[run.id].startswith("sent ")
    assert points(client, run.id, "valid/loss") == curve(result)
    assert client.get_run(run.id).info.status == "FINISHED"


@pytest.mark.long
def test_after_a_full_disk_a_run_goes_on_as_if_nothing_had_been(store: str, small_disk: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kmnist", "train", "--work-dir", str(small_disk)]
    settings = ["--dataset", "sample", "--hidden", "32", "--epochs", "150"]
    process = subprocess.Popen(
        [*command, *settings], env=environment(store), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not list(small_disk.glob("*/checkpoint.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    [run_id] = [path.name for path in small_disk.iterdir()]
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while process.poll() is None:  # again and again: what it deletes gives space back
            with suppress(OSError):
                file.write(bytes(4096))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    message = stderr.decode()
    assert "No space left on device" in message
    assert f"kmnist train --resume {run_id}" in message
    assert "Traceback" not in message
    client = connect(store)
    assert client.get_run(run_id).info.status == "FAILED"

    filler.unlink()
    done = subprocess.run([*command, "--resume", run_id], env=environment(store), cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["end_reason"]) == ("FINISHED", "completed")
    assert [step for step, _ in points(client, run_id, "valid/loss")] == list(range(1, 151))
    assert not list(small_disk.iterdir())  # all has arrived
