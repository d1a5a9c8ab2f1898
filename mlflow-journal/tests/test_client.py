"""A journal of a program's own, without any environment variable; its limits, and how little a process may leave."""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Server
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow_journal import process, transfer
from mlflow_journal.client import JournalClient
from mlflow_journal.errors import JournalError, JournalFull, ServerAway
from mlflow_journal.identities import is_provisional
from mlflow_journal.settings import Settings, read

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What a test began in this process ends with it."""
    yield
    for found in list(process._processes.values()):
        found.sender.stop()
        if found.has_journal:
            found.journal.close()
    process._processes.clear()


def test_a_client_of_its_own(running: Server, tmp_path: Path) -> None:
    client = JournalClient(running.url, Settings(tmp_path / "j"))
    experiment = client.create_experiment("own")
    run_id = client.create_run(experiment).info.run_id
    client.log_metric(run_id, "m", 0.5, step=3)
    client.log_text(run_id, "text", "a/b.txt")
    assert client.get_run(run_id).data.metrics == {"m": 0.5}
    outcome = client.outcome(60)
    assert (outcome.arrived, outcome.waiting) == (True, None)
    plain = MlflowClient(running.url)
    assert [found.path for found in plain.list_artifacts(run_id, "a")] == ["a/b.txt"]
    assert type(plain._tracking_client.store).__name__ == "RestStore"


def test_an_experiment_that_another_journal_makes_meanwhile_is_taken(running: Server, tmp_path: Path) -> None:
    """As that of a process that has ended, whose journal is sent between the question and the creation."""
    mine, other = (JournalClient(running.url, Settings(tmp_path / name)) for name in ("mine", "other"))
    assert mine.get_experiment_by_name("raced") is None
    made = other.create_experiment("raced")
    assert mine.create_experiment("raced") == made
    with pytest.raises(MlflowException, match="already exists"):
        other.create_experiment("raced")
    assert mine.get_experiment_by_name("plain") is None
    MlflowClient(running.url).create_experiment("plain")
    with pytest.raises(MlflowException, match="already exists"):
        mine.create_experiment("plain")


def test_without_provisional_ids_a_creation_raises_within_seconds(tmp_path: Path) -> None:
    client = JournalClient(NOBODY, Settings(tmp_path / "j", provisional=False))
    began = time.monotonic()
    for call in (
        lambda: client.create_experiment("e"),
        lambda: client.create_run("0"),
        lambda: client.get_run("a" * 32),
    ):
        with pytest.raises(ServerAway, match=r"does not answer|did not answer"):
            call()
    assert time.monotonic() - began < 30
    assert transfer.journals(tmp_path / "j") == []


def test_writes_on_a_run_that_exists_wait_and_say_why(tmp_path: Path) -> None:
    client = JournalClient(NOBODY, Settings(tmp_path / "j"))
    client.log_metric("a" * 32, "m", 1)
    outcome = client.outcome(0.5)
    assert not outcome.arrived
    assert outcome.waiting is not None
    assert outcome.waiting.subjects == {"a" * 32: 1}
    assert outcome.trouble is not None
    assert "Connection refused" in outcome.trouble


def test_where_the_server_is_away_one_reads_what_one_wrote(tmp_path: Path) -> None:
    client = JournalClient(NOBODY, Settings(tmp_path / "j"))
    experiment = client.create_experiment("e", tags={"a": "1"})
    run = client.create_run(experiment, run_name="name", tags={"t": "1"})
    run_id = run.info.run_id
    assert is_provisional(run_id)
    for step in range(5):
        client.log_metric(run_id, "m", step * 2.0, step=step, timestamp=step)
    client.log_param(run_id, "p", "1")
    client.delete_tag(run_id, "t")
    client.log_dict(run_id, {"a": 1}, "deep/a.json")
    client.log_text(run_id, "text", "b.txt")
    found = client.get_run(run_id)
    assert (found.data.metrics, found.data.params) == ({"m": 8.0}, {"p": "1"})
    assert "t" not in found.data.tags
    assert [(point.step, point.value) for point in client.get_metric_history(run_id, "m")] == [
        (step, step * 2.0) for step in range(5)
    ]
    assert client.get_experiment(experiment).name == "e"
    named = client.get_experiment_by_name("e")
    assert named is not None
    assert named.experiment_id == experiment
    other = client.create_run(experiment, run_name="other").info.run_id
    client.log_metric(other, "m", 1)
    assert [one.info.run_id for one in client.search_runs([experiment], "metrics.m > 5")] == [run_id]
    client.set_terminated(run_id, "FAILED", end_time=7)
    assert (client.get_run(run_id).info.status, client.get_run(run_id).info.end_time) == ("FAILED", 7)
    repository = client._tracking_client._get_artifact_repo(run_id)
    assert [(one.path, one.is_dir) for one in repository.list_artifacts()] == [("b.txt", False), ("deep", True)]
    assert [one.path for one in repository.list_artifacts("deep")] == ["deep/a.json"]
    target = tmp_path / "target"
    assert Path(repository.download_artifacts("b.txt", str(target))).read_text() == "text"
    with pytest.raises(MlflowException, match="Changing param values"):
        client.log_param(run_id, "p", "2")
    with pytest.raises(MlflowException, match="already exists"):
        client.create_experiment("e")
    with pytest.raises(ServerAway):
        client.get_run("b" * 32)


def test_a_full_journal_is_an_error_or_drops_artifacts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 5000)
    client = JournalClient(NOBODY, Settings(tmp_path / "j", max_bytes=4000))
    run_id = client.create_run("0").info.run_id
    with pytest.raises(JournalFull, match="4,000"):
        client.log_artifact(run_id, str(big))
    client.log_metric(run_id, "m", 1)
    dropping = JournalClient(NOBODY, Settings(tmp_path / "k", max_bytes=4000, drop_artifacts=True))
    run_id = dropping.create_run("0").info.run_id
    for _ in range(3):
        dropping.log_artifact(run_id, str(big))
    assert capsys.readouterr().err.count("artifacts are dropped") == 1


def test_a_folder_that_cannot_be_written_is_told_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="MLFLOW_JOURNAL_DIR"):
        JournalClient(NOBODY, Settings(tmp_path / "file" / "j")).create_run("0")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_JOURNAL_SYNC", "sometimes"),
        ("MLFLOW_JOURNAL_EXIT_SECONDS", "-1"),
        ("MLFLOW_JOURNAL_EXIT_SECONDS", "long"),
        ("MLFLOW_JOURNAL_MAX_BYTES", "nan"),
        ("MLFLOW_JOURNAL_PROVISIONAL_IDS", "perhaps"),
        ("MLFLOW_JOURNAL_WHEN_FULL", "cry"),
    ],
)
def test_settings_that_cannot_be_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(JournalError, match=f"{name}='{value}'"):
        read(tmp_path)


def test_only_http_addresses_have_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="http"):
        JournalClient("sqlite:///mlflow.db", Settings(tmp_path))


def test_a_journal_for_another_address_is_not_sent(tmp_path: Path) -> None:
    client = JournalClient(NOBODY, Settings(tmp_path / "j"))
    client.log_metric("a" * 32, "m", 1)
    (found,) = process._processes.values()
    found.sender.stop()
    found.journal.close()
    (folder,) = transfer.journals(tmp_path / "j")
    about = folder / "about.json"
    about.write_text(about.read_text().replace(NOBODY, "http://127.0.0.1:7"))
    said: list[str] = []
    assert len(transfer.sync(tmp_path / "j", say=said.append)) == 1
    assert "nothing is sent" in said[0]
    about.write_text("{")
    assert len(transfer.sync(tmp_path / "j", say=said.append)) == 1
    assert "about.json" in said[-1]


@pytest.fixture
def busy() -> Iterator[tuple[str, list[float]]]:
    """A server that asks to be left alone for a second, then refuses; with the times at which it was asked."""
    times: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            times.append(time.monotonic())
            self.send_response(503)
            self.send_header("Retry-After", "2")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", times
    server.shutdown()
    thread.join()
    server.server_close()


def test_retry_after_is_heeded(busy: tuple[str, list[float]], tmp_path: Path) -> None:
    url, times = busy
    client = JournalClient(url, Settings(tmp_path / "j"))
    client.log_metric("a" * 32, "m", 1)
    client.outcome(5)
    rounds = [after - before for before, after in itertools.pairwise(times) if after - before > 0.5]
    assert rounds
    assert min(rounds) > 1.9


@pytest.mark.slow
def test_a_disk_that_is_full_loses_nothing_that_was_taken(tmp_path: Path) -> None:
    """On a file system of 1 MB of its own, where that may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    code = f"""
import sys
from pathlib import Path
from mlflow_journal.client import JournalClient
from mlflow_journal.errors import JournalFull
from mlflow_journal.settings import Settings
client = JournalClient("{NOBODY}", Settings(Path("{disk}/j"), exit_seconds=0))
taken = 0
try:
    while True:
        client.set_tag("a" * 32, f"t{{taken}}", "x" * 3000)
        taken += 1
except JournalFull as error:
    print(taken, "make room" in error.message)
"""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr[-2000:]
        taken, told = done.stdout.split()
        (waiting,) = transfer.look_all(disk / "j")
        assert (waiting.records, told) == (int(taken), "True")
        assert int(taken) > 100
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import mlflow_journal; "
        "print([name for name in set(sys.modules) - before if name.startswith('mlflow.') or name == 'mlflow'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_threads_write_one_journal(running: Server, tmp_path: Path) -> None:
    client = JournalClient(running.url, Settings(tmp_path / "j"))
    run_ids = [client.create_run(client.create_experiment(f"threads{number}")).info.run_id for number in range(4)]

    def write(number: int) -> None:
        for step in range(250):
            client.log_metric(run_ids[number % 4], f"m{number}", step, step=step)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.outcome(60).arrived
    plain = MlflowClient(running.url)
    for number in range(8):
        history = plain.get_metric_history(run_ids[number % 4], f"m{number}")
        assert [point.step for point in history] == list(range(250))
