"""Programs with a journal, before a real server that is killed, frozen, away or refuses."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Server
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow_journal import transfer
from mlflow_journal.cli import main

pytestmark = pytest.mark.slow

LOOP = """
import sys, time, mlflow
name, steps, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
mlflow.set_experiment("loop")
with mlflow.start_run(run_name=name) as run:
    print("run", run.info.run_id, flush=True)
    mlflow.log_params({"lr": 0.1, "steps": steps})
    slowest = 0.0
    for step in range(steps):
        began = time.perf_counter()
        mlflow.log_metric("loss", 1 / (1 + step), step=step)
        mlflow.log_metrics({"a": step, "b": -step}, step=step)
        slowest = max(slowest, time.perf_counter() - began)
        print("step", step, flush=True)
        time.sleep(pause)
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_dict({"a": 1}, "notes/a.json")
    mlflow.set_tag("done", "yes")
print("slowest", slowest, flush=True)
"""


def program(code: str, url: str, journal: Path | None, *arguments: str, **settings: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"MLFLOW_TRACKING_URI": url, "MLFLOW_JOURNAL_EXIT_SECONDS": "20", **settings}
    environment |= {"MLFLOW_JOURNAL_DIR": str(journal)} if journal else {}
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(running: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, err = running.communicate(timeout=200)
    assert running.returncode == code, err[-3000:]
    return out, err


def runs(server: Server, experiment: str, name: str) -> list[Run]:
    """As a program without a journal sees them."""
    client = MlflowClient(server.url)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return list(client.search_runs([found.experiment_id], f"attributes.run_name = '{name}'"))


def assert_whole(server: Server, name: str, steps: int) -> None:
    (run,) = runs(server, "loop", name)
    client = MlflowClient(server.url)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1", "steps": str(steps)}
    assert run.data.tags["done"] == "yes"
    assert "mlflow_journal.unsent" not in run.data.tags
    for key, value in (("loss", lambda step: 1 / (1 + step)), ("a", float), ("b", lambda step: -float(step))):
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        assert sorted(points) == [(step, value(step)) for step in range(steps)]
    files = {found.path: found.file_size for found in client.list_artifacts(run.info.run_id, "notes")}
    assert files == {"notes/a.json": 12, "notes/hello.txt": 5}


def is_empty(journal: Path) -> bool:
    return transfer.look_all(journal) == [] and transfer.journals(journal) == []


def test_a_program_before_a_server_that_is_there(running: Server, tmp_path: Path) -> None:
    finish(program(LOOP, running.url, tmp_path / "j", "there", "50", "0"))
    assert_whole(running, "there", 50)
    assert is_empty(tmp_path / "j")


def test_a_server_that_is_killed_and_started_again(running: Server, tmp_path: Path) -> None:
    started = program(LOOP, running.url, tmp_path / "j", "killed", "100", "0.02", MLFLOW_JOURNAL_EXIT_SECONDS="60")
    assert started.stdout is not None
    for line in started.stdout:
        if line == "step 20\n":
            running.kill()
        if line == "step 70\n":
            break
    restart = threading.Thread(target=running.start)
    restart.start()
    finish(started)
    restart.join()
    assert_whole(running, "killed", 100)
    assert is_empty(tmp_path / "j")


def test_a_server_that_is_away_from_the_start_until_sync(
    running: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running.kill()
    began = time.monotonic()
    out, err = finish(program(LOOP, running.url, tmp_path / "j", "away", "30", "0", MLFLOW_JOURNAL_EXIT_SECONDS="1"))
    assert time.monotonic() - began < 60
    assert "mlflow-journal sync" in err
    assert "run journal" in out
    folder = ["--folder", str(tmp_path / "j")]
    assert main([*folder, "status"]) == 1
    assert main([*folder, "sync"]) == 1
    assert "Connection refused" in capsys.readouterr().err
    assert main([*folder, "export", str(tmp_path / "all.tar.gz")]) == 0
    elsewhere = ["--folder", str(tmp_path / "elsewhere")]
    assert main([*elsewhere, "import", str(tmp_path / "all.tar.gz")]) == 0
    running.start()
    assert main([*elsewhere, "sync"]) == 0
    assert_whole(running, "away", 30)
    assert main([*folder, "sync"]) == 0  # the same again, from the first machine: found by its tag, not made twice
    assert_whole(running, "away", 30)


def test_a_process_killed_at_any_moment_is_sent_by_the_next_one(running: Server, tmp_path: Path) -> None:
    seeded = random.Random(7)
    for number in range(3):
        started = program(LOOP, running.url, tmp_path / "j", f"shot{number}", "1000", "0.001")
        assert started.stdout is not None
        last = seeded.randrange(5, 60)
        for line in started.stdout:
            if line == f"step {last}\n":
                break
        started.send_signal(signal.SIGKILL)
        rest, _ = started.communicate(timeout=60)
        said = [int(text.split()[1]) for text in rest.splitlines() if text.startswith("step ")]
        assert main(["--folder", str(tmp_path / "j"), "sync"]) == 0
        (run,) = runs(running, "loop", f"shot{number}")
        assert run.info.status == "RUNNING"
        points = MlflowClient(running.url).get_metric_history(run.info.run_id, "loss")
        steps = sorted(point.step for point in points)
        assert steps == list(range(len(steps)))
        assert len(steps) >= max([last, *said]) + 1
    assert is_empty(tmp_path / "j")


def test_forked_processes_write_journals_of_their_own(running: Server, tmp_path: Path) -> None:
    code = """
    import os, mlflow
    from mlflow import MlflowClient
    client = MlflowClient()
    mlflow.set_experiment("fork")
    with mlflow.start_run(run_name="fork") as run:
        run_id = run.info.run_id
        client.log_metric(run_id, "parent", 1)
        children = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                for step in range(20):
                    client.log_metric(run_id, f"child{number}", step, step=step)
                assert client.get_run(run_id).data.metrics["parent"] >= 1
                os._exit(0)
            children.append(pid)
        for step in range(20):
            client.log_metric(run_id, "parent", step, step=step)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    """
    finish(program(code, running.url, tmp_path / "j"))
    assert main(["--folder", str(tmp_path / "j"), "sync"]) == 0
    (run,) = runs(running, "fork", "fork")
    client = MlflowClient(running.url)
    for key in ("child0", "child1", "child2"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, key)] == list(range(20))
    assert len(client.get_metric_history(run.info.run_id, "parent")) == 21
    assert run.info.status == "FINISHED"


def test_a_model_and_child_runs_that_begin_while_the_server_is_away(running: Server, tmp_path: Path) -> None:
    code = """
    import os, subprocess, sys, mlflow
    from mlflow.models import Model
    mlflow.set_experiment("model")
    with mlflow.start_run(run_name="model") as run:
        mlflow.log_metric("loss", 0.5, step=1)
        child = "import mlflow; mlflow.start_run(); mlflow.log_metric('from_child', 7); mlflow.end_run()"
        environment = {**os.environ, "MLFLOW_RUN_ID": run.info.run_id}
        subprocess.run([sys.executable, "-c", child], env=environment, check=True)
        with mlflow.start_run(nested=True, run_name="nested"):
            mlflow.log_param("p", 1)
        client = mlflow.MlflowClient()
        model = client.create_logged_model(run.info.experiment_id, "m", run.info.run_id, params={"a": "1"})
        open("MLmodel", "w").write(f"run_id: {run.info.run_id}\\nmodel_id: {model.model_id}\\n")
        client.log_model_artifacts(model.model_id, ".")
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run.info.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 1)])
        assert client.get_logged_model(model.model_id).status == "READY"
        assert [found.path for found in client.list_logged_model_artifacts(model.model_id)] == ["MLmodel"]
    """
    running.kill()
    work = tmp_path / "work"
    work.mkdir()
    code = f"import os; os.chdir({str(work)!r})\n{textwrap.dedent(code)}"
    finish(program(code, running.url, tmp_path / "j", MLFLOW_JOURNAL_EXIT_SECONDS="0.5"))
    running.start()
    assert main(["--folder", str(tmp_path / "j"), "sync"]) == 0
    (run,) = runs(running, "model", "model")
    (nested,) = runs(running, "model", "nested")
    assert nested.data.tags["mlflow.parentRunId"] == run.info.run_id
    assert run.data.metrics == {"loss": 0.5, "from_child": 7}
    assert run.info.status == nested.info.status == "FINISHED"
    client = MlflowClient(running.url)
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert run.outputs is not None
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert (model.status, model.params, model.source_run_id) == ("READY", {"a": "1"}, run.info.run_id)
    text = f"run_id: {run.info.run_id}\nmodel_id: {model.model_id}\n"
    path = f"{running.folder}/artifacts/{model.experiment_id}/models/{model.model_id}/artifacts/MLmodel"
    assert Path(path).read_text() == text
    assert is_empty(tmp_path / "j")


def test_a_frozen_server_makes_nobody_wait(running: Server, tmp_path: Path) -> None:
    started = program(LOOP, running.url, tmp_path / "j", "frozen", "60", "0.01", MLFLOW_JOURNAL_EXIT_SECONDS="100")
    assert started.stdout is not None
    out = ""
    for line in started.stdout:
        out = line
        if line == "step 10\n":
            running.freeze()
        if line.startswith("slowest"):
            break
    running.thaw()
    finish(started)
    assert float(out.split()[1]) < 5  # a call itself waits for nothing; the machine may have other work
    assert_whole(running, "frozen", 60)


def test_what_the_server_would_refuse_is_refused_at_once_by_the_same_exception(running: Server, tmp_path: Path) -> None:
    code = """
    import mlflow
    from mlflow.exceptions import MlflowException
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("refused" + __import__("sys").argv[1])
    run_id = client.create_run(experiment).info.run_id
    client.log_param(run_id, "p", "1")
    calls = [
        lambda: client.log_param(run_id, "p", "2"),
        lambda: client.log_metric(run_id, "m/../m", 1),
        lambda: client.log_metric(run_id, "m" * 5000, 1),
        lambda: client.log_metric(run_id, "bad#", 1),
        lambda: client.set_tag(run_id, "t" * 300, "x"),
        lambda: client.log_param(run_id, "k" * 300, "x"),
        lambda: client.delete_tag(run_id, "never"),
        lambda: client.log_metric("no/run", "m", 1),
        lambda: client.create_experiment("refused" + __import__("sys").argv[1]),
        lambda: client.create_run("987654"),
    ]
    for call in calls:
        try:
            call()
            print("taken")
        except MlflowException as error:
            print(type(error).__name__, error.error_code, error.message[:60].replace(run_id, "RUN"))
    """
    with_journal, _ = finish(program(code, running.url, tmp_path / "j", "1"))
    without, _ = finish(program(code, running.url, None, "2"))
    assert with_journal.replace("refused1", "") == without.replace("refused2", "")
    assert "taken" not in without


def test_what_is_refused_is_set_aside_told_and_tried_again(
    running: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(running.url)
    run_id = client.create_run("0", run_name="refusal").info.run_id
    client.log_param(run_id, "p", "server's")
    code = """
    import sys, mlflow
    client = mlflow.MlflowClient()
    client.log_param(sys.argv[1], "p", "mine")
    for step in range(10):
        client.log_metric(sys.argv[1], "m", step, step=step)
    client.set_tag(sys.argv[1], "t", "1")
    """
    _, err = finish(program(code, running.url, tmp_path / "j", run_id))
    assert "1 records are refused" in err
    run = client.get_run(run_id)
    assert run.data.tags["mlflow_journal.unsent"] == "params p"
    assert (run.data.params, run.data.tags["t"]) == ({"p": "server's"}, "1")
    assert len(client.get_metric_history(run_id, "m")) == 10
    folder = ["--folder", str(tmp_path / "j")]
    assert main([*folder, "sync"]) == 1
    assert main([*folder, "show", run_id]) == 1
    assert "Changing param values" in capsys.readouterr().out
    assert main([*folder, "drop", run_id]) == 0
    assert main([*folder, "sync"]) == 0
    assert is_empty(tmp_path / "j")


def test_without_the_variable_mlflow_is_as_it_was(running: Server, tmp_path: Path) -> None:
    code = """
    import sys, mlflow
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("plain"))
    client.log_text(run.info.run_id, "x", "x.txt")
    stores = client._tracking_client.store, client._get_registry_client().store
    repository = client._tracking_client._get_artifact_repo(run.info.run_id)
    print(*(f"{type(found).__module__}.{type(found).__name__}" for found in (*stores, repository)))
    print([name for name in sys.modules if name.startswith("mlflow_journal") and name.count(".")])
    """
    out, _ = finish(program(code, running.url, None))
    assert out.splitlines() == [
        "mlflow.store.tracking.rest_store.RestStore mlflow.store.model_registry.rest_store.RestStore "
        "mlflow.store.artifact.mlflow_artifacts_repo.MlflowArtifactsRepository",
        "['mlflow_journal.plugin', 'mlflow_journal.errors', 'mlflow_journal.settings']",
    ]


@pytest.fixture
def login_page() -> Iterator[str]:
    """A proxy that sends everybody to a login page, which answers with success."""

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            if self.path == "/login":
                page = b"<html>log in</html>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
            else:
                self.send_response(302)
                self.send_header("Location", "/login")
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_login_page_is_no_success(login_page: str, tmp_path: Path) -> None:
    _, err = finish(program(LOOP, login_page, tmp_path / "j", "login", "3", "0", MLFLOW_JOURNAL_EXIT_SECONDS="1"))
    assert "have not arrived" in err
    (waiting,) = transfer.look_all(tmp_path / "j")
    assert waiting.records > 10


def test_an_error_of_the_program_stays_its_own(tmp_path: Path) -> None:
    code = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('m', 1)\n    raise SystemExit(7)"
    _, err = finish(program(code, "http://127.0.0.1:9", tmp_path / "j", MLFLOW_JOURNAL_EXIT_SECONDS="0.2"), code=7)
    assert err.count("mlflow-journal:") == 1
    (waiting,) = transfer.look_all(tmp_path / "j")
    assert waiting.address == "http://127.0.0.1:9"


def test_no_credentials_are_written(tmp_path: Path) -> None:
    code = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('m', 1)"
    url = "http://somebody:hush-hush@127.0.0.1:9"
    _, err = finish(program(code, url, tmp_path / "j", MLFLOW_JOURNAL_EXIT_SECONDS="0.2"))
    assert "hush" not in err
    content = b"".join(path.read_bytes() for path in (tmp_path / "j").rglob("*") if path.is_file())
    assert b"127.0.0.1" in content
    assert b"hush" not in content
