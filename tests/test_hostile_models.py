"""Models made by hand to do harm: none runs code of its own, and each ends in one line of an error, or in an answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from kmnist.data import Dataset
from kmnist.errors import KmnistError
from kmnist.registry import promote
from kmnist.tracking import connect
from tests.commands import Command
from tests.hostile_models import MARKER, REFUSED, REFUSED_IN_PLACE, RUNNING, UNREAD, Edit
from tests.registered import NAME, holder, make_version


@pytest.fixture
def client(store: str) -> MlflowClient:
    client = connect(store)
    client.create_registered_model(NAME)
    return client


def make(saved: Path, edit: Edit, folder: Path) -> Path:
    shutil.copytree(saved, folder)
    edit(folder)
    return folder


def predict(command: Command, model: Path) -> tuple[object, str]:
    np.save("images.npy", np.zeros((2, 28, 28), np.uint8))
    done = command("predict", "images.npy", "--raw", "--format", "csv", "--model", str(model))
    return done.returncode, done.stdout + done.stderr


def promoted(client: MlflowClient, model: Path, data: Dataset) -> str:
    """What ``promote`` says of it."""
    with pytest.raises(KmnistError) as told:
        promote(client, make_version(client, model), "champion", data)
    assert holder(client) is None
    return str(told.value)


@pytest.mark.parametrize("name", REFUSED | REFUSED_IN_PLACE)
def test_what_is_no_network_of_ours_is_refused_in_a_line(
    name: str, saved: Path, client: MlflowClient, kmnist_command: Command, drawn: Dataset, tmp_path: Path
) -> None:
    edit, said = (REFUSED | REFUSED_IN_PLACE)[name]
    model = make(saved, edit, tmp_path / "model")
    status, output = predict(kmnist_command, model)
    assert status == 1
    assert output.startswith(f"kmnist: model {model}: ")
    assert said in output
    assert len(output.splitlines()) == 1
    assert len(output) < 1_000
    if name in REFUSED:
        assert len(promoted(client, model, drawn).splitlines()) == 1
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("name", RUNNING | UNREAD)
def test_what_is_beside_the_network_is_not_even_read(
    name: str, saved: Path, client: MlflowClient, kmnist_command: Command, drawn: Dataset, tmp_path: Path
) -> None:
    model = make(saved, (RUNNING | UNREAD)[name], tmp_path / "model")
    status, output = predict(kmnist_command, model)
    assert status == 0, output
    assert output.count("images.npy") == 2
    assert "  trained_on_this_data: " in promoted(client, model, drawn)  # it was loaded, and examined
    assert not (tmp_path / MARKER).exists()


@pytest.mark.slow
def test_mlflows_own_tools_run_what_these_models_bring(saved: Path, tmp_path: Path) -> None:
    """Or the tests above would show nothing."""
    models = [make(saved, edit, tmp_path / str(number) / "model") for number, edit in enumerate(RUNNING.values())]
    models.append(make(saved, REFUSED["module that unpickles"][0], tmp_path / "pickle" / "model"))
    script = """
import sys, numpy, mlflow.pyfunc, mlflow.pytorch, torch
for path in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith(("kmnist_model", "innocent"))]:
        del sys.modules[name]
    before = list(sys.path)
    for load in (mlflow.pytorch.load_model, lambda path: mlflow.pyfunc.load_model(path)):
        try:
            load(path)(torch.zeros(2, 28, 28))
        except BaseException as error:
            print(path, repr(error)[:300])
    sys.path[:] = before
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true"}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, models)],
        capture_output=True, text=True, timeout=100, env=environment, check=True,
    )  # fmt: skip
    harmless = [str(model) for model in models if not (model.parent / MARKER).exists()]
    assert not harmless, done.stdout + done.stderr
