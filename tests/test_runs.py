"""Runs that are carried from one store to another, and what is freed of those that nobody needs."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist.addresses import local_folder
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.errors import Stopped
from kmnist.experiment import Splits, train
from kmnist.registry import load_model
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.tracking.collect import collect
from tests.commands import Command
from tests.servers import MlflowServer

Train = Callable[..., str]


@pytest.fixture
def trained(store: str, splits: Splits, drawn: Dataset, config: TrainConfig) -> Train:
    """Trains a run in the store; gives its id."""
    client = connect(store)

    def make(name: str, *, seed: int = 0, stop: bool = False, **tags: str) -> str:
        run = MlflowRun(client, entity := create_run(client, "Default", name, tags), Path("runs") / entity.info.run_id)
        changed = TrainConfig.parse({**config.as_text(), "seed": seed})
        try:
            with run:
                run.log_environment()

                def on_epoch(*_: object) -> None:
                    if stop:
                        raise Stopped("on purpose")

                train(changed, splits, drawn.test, run, run.folder, on_epoch=on_epoch)
            run.discard_folder()
        except Stopped:
            pass
        return run.id

    return make


def told(client: MlflowClient, run: Run) -> dict[str, object]:
    """All that a run says but ids, and where it is."""
    source = collect(client, run)
    tags = {key: text for key, text in run.data.tags.items() if key not in ("kmnist.creation", "imported.from")}
    return {
        "params": run.data.params,
        "metrics": run.data.metrics,
        "curves": source.curves,
        "files": source.files,
        "tags": tags,
        "name": run.info.run_name,
        "status": run.info.status,
        "inputs": source.run.digests,
        "began": run.info.start_time,
        "ended": run.info.end_time,
    }


@pytest.mark.slow
def test_runs_are_carried_to_a_server(
    trained: Train, kmnist_command: Command, mlflow_server: MlflowServer, store: str
) -> None:
    above = trained("above")
    below = trained("below", stop=True, **{"mlflow.parentRunId": above})
    here = connect(store)
    here.set_tag(above, "study.best_run", below)
    here.set_tag(above, "mlflow.note.content", f"see [it](#/experiments/0/runs/{below}?workflowType=machine_learning)")
    done = kmnist_command("runs", "export", "both.zip", above)
    assert done.returncode == 0, done.stderr
    there, began = connect(mlflow_server.url), here.get_run(above).info.start_time
    broken_off = there.create_experiment("carried")  # an import that made a run, and sent nothing
    there.create_run(broken_off, began, {"imported.from": above}, "above")
    arguments = ("runs", "import", "both.zip", "--tracking-uri", mlflow_server.url, "--experiment-name", "carried")
    done = kmnist_command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = there.get_experiment_by_name("carried")
    assert found is not None
    experiment = found.experiment_id
    new = {run.data.tags["imported.from"]: run for run in there.search_runs([experiment])}
    assert set(new) == {above, below}
    for old in (above, below):
        before, after = told(here, here.get_run(old)), told(there, new[old])
        ids = json.dumps([before.pop("tags"), after.pop("tags")])
        assert after == before
        assert ids.count(old) <= 1 + (old == below) * 2
    tags = new[above].data.tags
    assert tags["study.best_run"] == new[below].info.run_id
    assert f"#/experiments/{experiment}/runs/{new[below].info.run_id}?" in tags["mlflow.note.content"]
    assert new[below].data.tags["mlflow.parentRunId"] == new[above].info.run_id
    assert load_model(f"runs:/{new[above].info.run_id}/model", tracking_uri=mlflow_server.url)
    assert list(Path("runs").glob("*/journal.jsonl")) == []
    again = kmnist_command(*arguments)
    assert again.stdout.count("is there already") == 2
    assert len(there.search_runs([experiment])) == 2


ABOUT = {"id": "a1", "experiment": "0", "name": "x", "began_ms": 1, "tags": {}}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There is no item named 'runs.json'"),
        ({"runs.json": "{"}, "Expecting property name"),
        ({"runs.json": json.dumps([{**ABOUT, "id": "../../x"}])}, "should match pattern"),
        ({"runs.json": json.dumps([ABOUT, ABOUT])}, "it has a run twice"),
        ({"runs.json": json.dumps([ABOUT]), "../journal.jsonl": ""}, "a file '../journal.jsonl', which an export"),
        ({"runs.json": "[]", "a1/payloads/0/../../../x": "x"}, "which an export has not"),
        ({"runs.json": "[]", "/etc/cron.d/x": "x"}, "which an export has not"),
        ({"runs.json": json.dumps([ABOUT])}, "There is no item named 'a1/journal.jsonl'"),
        (
            {"runs.json": json.dumps([ABOUT]), "a1/journal.jsonl": '{"op": "tag_run", "run_id": "x", "tags": {}}\n'},
            "tells of something else than its own run",
        ),
    ],
)
def test_a_file_that_no_export_wrote_is_refused(
    files: dict[str, str], message: str, kmnist_command: Command, tmp_path: Path
) -> None:
    with zipfile.ZipFile("made.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    done = kmnist_command("runs", "import", "made.zip")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path.parent / "x").exists()


def test_a_file_of_anything_is_refused(kmnist_command: Command, tmp_path: Path) -> None:
    (tmp_path / "any.zip").write_bytes(b"anything")
    assert "any.zip cannot be imported" in kmnist_command("runs", "import", "any.zip").stderr
    assert "none.zip cannot be imported" in kmnist_command("runs", "import", "none.zip").stderr
    assert "must end in .zip" in kmnist_command("runs", "export", "any.tar", "x").stderr


def images(client: MlflowClient, run_id: str) -> int:
    return len(client.list_artifacts(run_id, "images"))


@pytest.mark.slow
def test_what_nobody_needs_is_freed_and_only_when_it_is_said(
    trained: Train, kmnist_command: Command, store: str, tmp_path: Path
) -> None:
    first, second = trained("one", seed=1), trained("two", seed=2)
    client = connect(store)
    scores = {run: client.get_run(run).data.metrics["best/valid_accuracy"] for run in (first, second)}
    best = max(scores, key=lambda run: scores[run]) if scores[first] != scores[second] else second
    worse = first if best == second else second
    kept, stopped = trained("kept", seed=3, keep="true"), trained("stopped", stop=True)
    client.set_tag(best, "study.best", "true")
    checkpoint = tmp_path / "runs" / stopped
    assert checkpoint.exists()
    shown = kmnist_command("runs", "prune")
    assert shown.returncode == 0, shown.stderr
    assert "2 runs" in shown.stdout
    assert "nothing was deleted" in shown.stdout
    assert images(client, worse)
    assert checkpoint.exists()
    done = kmnist_command("runs", "prune", "--yes")
    assert done.returncode == 0, done.stderr
    assert (images(client, worse), checkpoint.exists()) == (0, False)
    assert images(client, best)
    assert images(client, kept)
    assert client.get_run(worse).data.tags["pruned"]
    assert client.list_artifacts(worse, "figures")
    left = {model.source_run_id for model in client.search_logged_models(["0"])}
    assert left == {best, kept}
    assert not list((tmp_path / "mlruns").rglob(f"*{worse}*/images/*"))
    assert kmnist_command("runs", "prune").stdout == "there is nothing to prune\n"
    assert "experiment=x: there is none of that name" in kmnist_command("runs", "prune", "--experiment", "x").stderr


ODD = ["a#b.txt", "50%20off.txt", "q?.txt", "back\\slash.txt", "a b.txt", "平仮名.txt", "dir#1/c.txt", "d/100%.txt"]


def make_odd_run(client: MlflowClient, folder: Path) -> str:
    run = create_run(client, "odd", "a run").info
    for path in ODD:
        (file := folder / "odd" / path).parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
        client.log_artifact(run.run_id, str(file), path.rpartition("/")[0] or None)
    client.set_terminated(run.run_id)
    return str(run.run_id)


def test_files_of_odd_names_are_carried_from_a_database_to_another(
    kmnist_command: Command, store: str, tmp_path: Path
) -> None:
    run_id = make_odd_run(connect(store), tmp_path)
    done = kmnist_command("runs", "export", "odd.zip", run_id)
    assert done.returncode == 0, done.stderr
    done = kmnist_command("runs", "import", "odd.zip", "--experiment-name", "carried")
    assert done.returncode == 0, done.stdout + done.stderr
    client = connect(store)
    experiment = client.get_experiment_by_name("carried")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    folder = local_folder(run.info.artifact_uri)
    assert folder is not None
    assert {path: (folder / path).read_text() for path in ODD} == {path: path for path in ODD}


@pytest.mark.slow
def test_files_that_a_server_cannot_give_are_named_and_the_rest_is_carried(
    kmnist_command: Command, mlflow_server: MlflowServer, store: str, tmp_path: Path
) -> None:
    client = connect(mlflow_server.url)
    run = create_run(client, "odd", "a run").info
    for name in ("good.txt", "a b.txt"):
        (tmp_path / name).write_text(name)
        client.log_artifact(run.run_id, str(tmp_path / name))
    place = mlflow_server.folder / "artifacts" / run.artifact_uri.partition(":/")[2]
    for name in ("a#b.txt", "q?.txt", "50%20off.txt"):  # as one that writes to its disk leaves them
        (place / name).write_text(name)
    (place / "dir#1").mkdir()
    (place / "dir#1" / "c.txt").touch()
    client.set_terminated(run.run_id)
    done = kmnist_command("runs", "export", "odd.zip", run.run_id, "--tracking-uri", mlflow_server.url)
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("is left out") == 4
    assert "odd.zip has all the rest" in done.stderr
    with zipfile.ZipFile("odd.zip") as archive:
        carried = {Path(name).name for name in archive.namelist()}
    assert carried == {"runs.json", "journal.jsonl", "good.txt", "a b.txt"}
