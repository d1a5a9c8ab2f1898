"""Runs whose process is gone are ended; runs that live are not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.tracking import MlflowRun, connect, create_run, find_silent, reap
from kmnist.tracking import heartbeat as heartbeat_module
from kmnist.tracking import reap as reap_function
from tests.commands import Command, environment

reap_module = sys.modules[reap_function.__module__]
LONG_AGO = "1700000000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(reap_module, "WATCH_SECONDS", 1.0)


def silent_run(client: MlflowClient) -> str:
    run_id = create_run(client, "e", "a run").info.run_id
    client.set_tag(run_id, "heartbeat", LONG_AGO)
    return str(run_id)


def outcomes(client: MlflowClient, work_dir: Path) -> dict[str, str]:
    runs = find_silent(client, 60)
    return {run.info.run_id: outcome for run, outcome in reap(client, runs, work_dir, lambda count: None)}


def test_a_run_whose_process_is_gone_is_killed_at_its_last_sign_of_life(store: str, tmp_path: Path) -> None:
    client = connect(store)
    run_id = silent_run(client)
    client.set_tag(run_id, "mlflow.note.content", "What it said.")
    assert outcomes(client, tmp_path / "elsewhere") == {run_id: f"KILLED: {since()}"}
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("KILLED", int(LONG_AGO))
    assert run.data.tags["end_reason"] == f"its process is gone: {since()}"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("What it said.\n\nEnded by `kmnist reap`")
    assert f"kmnist train --resume {run_id}" in note
    assert find_silent(client, 60) == []


def since() -> str:
    return f"no sign of life since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(int(LONG_AGO) / 1000))}"


def test_a_run_that_lives_is_left_alone_though_its_sign_of_life_is_old(store: str, tmp_path: Path) -> None:
    client = connect(store)
    entity = create_run(client, "e", "a run")
    with MlflowRun(client, entity, tmp_path / "here" / entity.info.run_id) as run:
        while client.get_run(run.id).data.tags["heartbeat"] == entity.data.tags["heartbeat"]:
            time.sleep(0.05)  # until it beats
        [silent] = [client.get_run(run.id)]
        silent.data.tags["heartbeat"] = LONG_AGO  # as one sees it right after an outage
        for work_dir, why in (
            ("elsewhere", "it gave a sign of life"),
            ("here", "a process on this machine works on it"),
        ):
            [(_, outcome)] = reap(client, [silent], tmp_path / work_dir, lambda count: None)
            assert outcome == f"left alone: {why}"
    assert client.get_run(run.id).info.status == "FINISHED"


def test_runs_that_ended_or_never_gave_a_sign_are_not_looked_at(store: str, tmp_path: Path) -> None:
    client = connect(store)
    client.set_terminated(silent_run(client), "FINISHED")
    client.create_run("0")  # of somebody else
    client.set_tag(silent_run(client), "heartbeat", "soon")
    create_run(client, "e", "a run")  # just now
    assert find_silent(client, 60) == []


def test_a_run_that_ends_while_it_is_watched_keeps_its_end(store: str, tmp_path: Path) -> None:
    client = connect(store)
    run_id = silent_run(client)
    runs = find_silent(client, 60)
    [(_, outcome)] = reap(client, runs, tmp_path, lambda count: client.set_terminated(run_id, "FINISHED"))
    assert outcome == "left alone: it has ended as FINISHED"
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_a_killed_training_is_reaped_by_the_command_and_can_be_resumed(
    store: str, tmp_path: Path, kmnist_command: Command
) -> None:
    train = ["train", "--dataset", "sample", "--hidden", "32", "--epochs", "500", "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "kmnist", *train], env=environment(store), cwd=tmp_path)
    client = connect(store)
    while not list((tmp_path / "runs").glob("*/checkpoint.safetensors")):
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGSTOP)
    [folder] = (tmp_path / "runs").iterdir()
    client.set_tag(folder.name, "heartbeat", LONG_AGO)
    done = kmnist_command("reap")
    assert done.stdout.endswith("left alone: a process on this machine works on it\n")
    process.kill()
    process.wait()
    kmnist_command("sync")
    done = kmnist_command("reap")
    assert f"{folder.name} " in done.stdout
    assert f": KILLED: {since()}" in done.stdout
    assert client.get_run(folder.name).info.status == "KILLED"
    assert "every run that is RUNNING gave a sign of life" in kmnist_command("reap").stdout
    # The same settings as before, so that it ends at once: what counts is that it is one run again.
    with MlflowRun(client, client.get_run(folder.name), folder):
        pass
    assert client.get_run(folder.name).info.status == "FINISHED"


def test_too_short_a_silence_is_refused(kmnist_command: Command) -> None:
    done = kmnist_command("reap", "--silent-for", "0")
    assert done.returncode == 1
    assert "silent_for=0: must be at least" in done.stderr
