import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from kmnist.checkpoint import FILE_NAME
from kmnist.config import TrainConfig
from kmnist.mlproject import render
from kmnist.tracking.read import read_run
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import all_studies
from tests.servers import free_port
from tests.test_tune import wait_until

ROOT = Path(__file__).parent.parent


def test_mlproject_is_current() -> None:
    assert (ROOT / "MLproject").read_text() == render(), "MLproject is stale; renew it with: kmnist mlproject"


def test_its_defaults_are_the_settings() -> None:
    parameters = yaml.safe_load(render())["entry_points"]["main"]["parameters"]
    assert TrainConfig.parse({name: facts["default"] for name, facts in parameters.items()}) == TrainConfig.parse({})


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_experiment_files_are_good(path: Path) -> None:
    TrainConfig.parse(yaml.safe_load(path.read_text()))


@pytest.mark.long
def test_mlflow_run_tune(store: str, tmp_path: Path) -> None:
    given = {"arch": "plain", "trials": "2", "epochs": "3", "hidden": "16", "dataset": "sample", "confirm_seeds": "0"}
    mlflow_run("tune", [f"{name}={text}" for name, text in given.items()], store, tmp_path)
    runs = MlflowClient(store).search_runs(["0"], order_by=["attributes.start_time ASC"])
    parent, *children = runs
    assert [run.info.status for run in runs][:1] == ["FINISHED"]
    assert len(children) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert given.items() <= parent.data.params.items()
    assert parent.data.tags["kind"] == "study"
    [study] = all_studies(open_storage(str(tmp_path / "studies.log")))
    assert study.optuna.user_attrs["run_id"] == parent.info.run_id


def mlflow_run(entry_point: str, parameters: list[str], store: str, folder: Path) -> None:
    """The command as a user types it, with its work in ``folder`` instead of the repository."""
    flags = [part for parameter in parameters for part in ("-P", parameter)]
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry_point, "--env-manager", "local", *flags]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store,
        "OMP_NUM_THREADS": "1",
        "KMNIST_WORK_DIR": str(folder / "runs"),
        "KMNIST_STORAGE": str(folder / "studies.log"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # `python` must be this one
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("entry_point", "parameters", "expected"),
    [
        ("main", ["arch=plain", "hidden=16", "learning_rate=1e-3"], {"learning_rate": "1e-3", "hidden": "16"}),
        ("experiment", [f"experiment={ROOT / 'experiments' / 'report_dropout.yaml'}", "hidden=16"], {"dropout": "0.5"}),
    ],
)
def test_mlflow_run(
    entry_point: str, parameters: list[str], expected: dict[str, str], store: str, tmp_path: Path
) -> None:
    mlflow_run(entry_point, [*parameters, "epochs=1", "dataset=sample"], store, tmp_path)
    [run] = MlflowClient(store).search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert expected.items() <= run.data.params.items()
    config = read_run(run).config
    assert config is not None
    assert (config["hidden"], config.epochs, config.learning_rate) == ((16,), 1, 0.001)
    assert "test/accuracy" in run.data.metrics


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a git repository with this project as it is now. (MLflow works in the folder of a file:// address.)"""
    folder = tmp_path_factory.mktemp("origin") / "kmnist"
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in files.stdout.decode().splitlines():
        if name.startswith(("kmnist/", "experiments/")) or "/" not in name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    port = free_port()
    serve = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", f"--base-path={folder.parent}", "--export-all"]
    with subprocess.Popen([*serve, "--reuseaddr"], stderr=subprocess.DEVNULL, start_new_session=True) as daemon:
        address = f"git://127.0.0.1:{port}/kmnist"
        wait_until(
            lambda: subprocess.run(["git", "ls-remote", address], capture_output=True, check=False).returncode == 0
        )
        yield address
        os.killpg(daemon.pid, signal.SIGTERM)


def start(uri: str, entry_point: str, parameters: list[str], folder: Path) -> "subprocess.Popen[str]":
    """``mlflow run`` as a user types it in a folder of their own, with nothing said about where things lie."""
    flags = [part for parameter in parameters for part in ("-P", parameter)]
    command = [sys.executable, "-m", "mlflow", "run", uri, "-e", entry_point, "--env-manager", "local", *flags]
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("KMNIST_", "MLFLOW_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
    )


@pytest.mark.long
def test_what_a_project_from_git_makes_lies_where_mlflow_run_was_typed(
    repository: str, store: str, tmp_path: Path
) -> None:
    given = [
        "study_file=experiments/studies/plain.yaml",
        "dataset=sample",
        "hidden=16",
        "epochs=2",
        "trials=2",
        "pruner=none",
    ]
    process = start(repository, "tune", [*given, "workers=2", "confirm_seeds=0", "study=s"], tmp_path)
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    assert "Fetching project from" in output
    assert f"all relative paths are those of {tmp_path}, where it was typed" in output
    [study] = all_studies(open_storage(str(tmp_path / "studies.log")))
    runs = MlflowClient(store).search_runs(["0"])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(runs) == 3
    assert study.optuna.user_attrs["run_id"] in {run.info.run_id for run in runs}
    assert (tmp_path / "runs").is_dir()


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_a_training_ends_with_its_mlflow_run(sent: signal.Signals, store: str, tmp_path: Path) -> None:
    given = ["arch=plain", "hidden=16", "epochs=100000", "dataset=sample"]
    with start(str(ROOT), "main", given, tmp_path) as process:
        assert process.stdout is not None
        shown = ""
        while "epoch 1/" not in shown:
            shown += (line := process.stdout.readline())
            assert line, shown
        [training] = psutil.Process(process.pid).children()
        process.send_signal(sent)
        rest = process.stdout.read()  # to the end of the training, too
    training.wait(60)
    [run] = MlflowClient(store).search_runs(["0"])
    assert run.info.status == "KILLED"
    assert f"kmnist train --resume {run.info.run_id}" in rest
    assert (tmp_path / "runs" / run.info.run_id / FILE_NAME).exists()
