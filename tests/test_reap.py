"""Runs whose process is gone are ended; runs that live are not."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.tracking import MlflowRun, connect, create_run, find_silent, reap
from kmnist.tracking import heartbeat as heartbeat_module
from kmnist.tracking import reap as reap_function
from tests.commands import Command, environment
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.servers import running_mlflow

reap_module = sys.modules[reap_function.__module__]
KINDS: tuple[Kind, ...] = ("drop request", "drop answer", "cut answer", 401, 429, 500, 503)
LONG_AGO = "1700000000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(reap_module, "WATCH_SECONDS", 1.0)


def silent_run(client: MlflowClient) -> str:
    tags = {"heartbeat": LONG_AGO, "kmnist.creation": "a"}
    return str(client.create_run("0", int(LONG_AGO) - 1000, tags).info.run_id)


def stop_outside_of_transactions(process: subprocess.Popen[bytes], database: Path) -> None:
    """Stop it at a moment at which it does not hold up everyone else."""
    while True:
        process.send_signal(signal.SIGSTOP)
        with closing(sqlite3.connect(database, timeout=0)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
                return
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
        time.sleep(0.01)


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
    client.create_run("0", tags={"heartbeat": "1"})  # of somebody else, who has a tag of that name
    for nonsense in ("soon", "²", "-1", "1e3", "9" * 400, "", " 1", "٣"):
        client.set_tag(silent_run(client), "heartbeat", nonsense)
    create_run(client, "e", "a run")  # just now
    assert find_silent(client, 60) == []
    expected = silent_run(client)
    assert [run.info.run_id for run in find_silent(client, 60)] == [expected]


def test_a_run_of_before_there_was_a_tag_for_ours_is_known_by_its_version(store: str) -> None:
    client = connect(store)
    run_id = client.create_run("0", tags={"heartbeat": LONG_AGO, "version.kmnist": "0.1.0"}).info.run_id
    assert [run.info.run_id for run in find_silent(client, 60)] == [run_id]


@pytest.mark.parametrize("hours", [-1000, 1000])
def test_a_clock_that_is_set_ends_no_run_that_lives_and_keeps_none_that_does_not(
    hours: int, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(store)
    entity, dead = create_run(client, "e", "a run"), create_run(client, "e", "a run").info.run_id
    monkeypatch.setattr(reap_module, "now_ms", lambda: time.time_ns() // 1_000_000 + hours * 3_600_000)
    with MlflowRun(client, entity, tmp_path / "there" / entity.info.run_id) as run:
        ended = outcomes(client, tmp_path / "here")
        assert client.get_run(run.id).info.status == "RUNNING"
    assert ended.pop(run.id) == "left alone: it gave a sign of life"
    assert ended[dead].startswith("KILLED: no sign of life since")
    info = client.get_run(dead).info
    assert info.status == "KILLED"


@pytest.mark.parametrize("beat", ["1", "32503679999999"])
def test_the_end_of_a_run_lies_between_its_start_and_now_whatever_its_tag_says(
    beat: str, store: str, tmp_path: Path
) -> None:
    client = connect(store)
    run_id = create_run(client, "e", "a run").info.run_id
    client.set_tag(run_id, "heartbeat", beat)
    assert outcomes(client, tmp_path).keys() == {run_id}
    info = client.get_run(run_id).info
    assert info.status == "KILLED"
    assert info.start_time <= info.end_time <= time.time() * 1000


def test_a_sign_of_life_that_is_taken_away_while_it_is_watched_is_one(store: str, tmp_path: Path) -> None:
    client = connect(store)
    run_id = silent_run(client)
    [(_, told)] = reap(client, find_silent(client, 60), tmp_path, lambda count: client.delete_tag(run_id, "heartbeat"))
    assert told == "left alone: it gave a sign of life"
    client.set_tag(run_id, "heartbeat", LONG_AGO)
    [(_, told)] = reap(client, find_silent(client, 60), tmp_path, lambda count: client.delete_run(run_id))
    assert told == "left alone: it has been deleted"


def test_a_run_that_ends_while_it_is_watched_keeps_its_end(store: str, tmp_path: Path) -> None:
    client = connect(store)
    run_id = silent_run(client)
    runs = find_silent(client, 60)
    [(_, outcome)] = reap(client, runs, tmp_path, lambda count: client.set_terminated(run_id, "FINISHED"))
    assert outcome == "left alone: it has ended as FINISHED"
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.long
def test_a_killed_training_is_reaped_by_the_command_and_can_be_resumed(
    store: str, tmp_path: Path, kmnist_command: Command, request: pytest.FixtureRequest
) -> None:
    train = ["train", "--dataset", "sample", "--hidden", "32", "--epochs", "500", "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "kmnist", *train], env=environment(store), cwd=tmp_path)
    request.addfinalizer(process.wait)
    request.addfinalizer(process.kill)
    client = connect(store)
    while not list((tmp_path / "runs").glob("*/checkpoint.safetensors")):
        assert process.poll() is None
        time.sleep(0.1)
    stop_outside_of_transactions(process, tmp_path / "mlflow.db")
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


@pytest.mark.long
def test_an_outage_at_any_of_its_requests_is_told_in_a_line_and_the_next_reap_does_the_rest(
    kmnist_command: Command, tmp_path: Path, template_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reap_module, "WATCH_SECONDS", 0.01)
    with running_mlflow(tmp_path / "server", template_store) as server, FaultyServer(server.url) as proxy:
        client, command = MlflowClient(server.url), ["reap", "--tracking-uri", proxy.url]
        silent_run(client)
        assert kmnist_command(*command).returncode == 0
        paths = {re.sub(r"\?.*", "", name) for name in proxy.requests}
        assert len(paths) >= 5
        paths.remove("GET /version")  # which a proxy may refuse: the version is then not known, and all else works
        for path in sorted(paths):
            for kind in KINDS:
                proxy.heal()
                run_id = silent_run(client)
                proxy.inject(fault := Fault(re.escape(path), kind))
                done = kmnist_command(*command)
                assert proxy.failed[fault] >= 1
                assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), (path, kind, done)
                assert done.stderr.startswith("kmnist: "), (path, kind, done)
                proxy.heal()
                assert kmnist_command(*command).returncode == 0
                run = client.get_run(run_id)
                assert run.info.status == "KILLED"
                assert run.data.tags["mlflow.note.content"].count("Ended by") == 1


def test_too_short_a_silence_is_refused(kmnist_command: Command) -> None:
    done = kmnist_command("reap", "--silent-for", "0")
    assert done.returncode == 1
    assert "silent_for=0: must be at least" in done.stderr
