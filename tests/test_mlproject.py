import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from kmnist.config import TrainConfig
from kmnist.mlproject import render

ROOT = Path(__file__).parent.parent


def test_mlproject_is_current() -> None:
    assert (ROOT / "MLproject").read_text() == render(), "MLproject is stale; renew it with: kmnist mlproject"


def test_its_defaults_are_the_settings() -> None:
    parameters = yaml.safe_load(render())["entry_points"]["main"]["parameters"]
    assert TrainConfig.parse({name: facts["default"] for name, facts in parameters.items()}) == TrainConfig.parse({})


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_experiment_files_are_good(path: Path) -> None:
    TrainConfig.parse(yaml.safe_load(path.read_text()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry_point", "parameters", "expected"),
    [
        ("main", ["arch=plain", "hidden=16", "learning_rate=1e-3"], {"learning_rate": "1e-3", "hidden": "16"}),
        ("experiment", [f"experiment={ROOT / 'experiments' / 'report_dropout.yaml'}", "hidden=16"], {"dropout": "0.2"}),
    ],
)
def test_mlflow_run(
    entry_point: str, parameters: list[str], expected: dict[str, str], store: str, tmp_path: Path
) -> None:
    small = ["epochs=1", "dataset=sample"]
    flags = [part for parameter in [*parameters, *small] for part in ("-P", parameter)]
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", entry_point, "--env-manager", "local", *flags]
    # `python` of the Project's command must be this one, and its work folder not the repository.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"MLFLOW_TRACKING_URI": store, "OMP_NUM_THREADS": "1", "KMNIST_WORK_DIR": str(tmp_path / "runs")}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment, "PATH": path}, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = MlflowClient(store).search_runs(["0"])
    assert run.info.status == "FINISHED"
    assert expected.items() <= run.data.params.items()
    logged = {name: text for name, text in run.data.params.items() if name in TrainConfig.model_fields}
    config = TrainConfig.parse(logged)
    assert (config.hidden, config.epochs, config.learning_rate) == ((16,), 1, 0.001)
    assert "valid/accuracy" in run.data.metrics
