"""A store whose champion knows the drawn images, and pictures to ask it about."""

import base64
import json
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import prepare
from kmnist.inference import Predictions, to_kmnist
from kmnist.registry import load_model, promote
from kmnist.tracking import MlflowRun, connect, create_run
from tests.hostile_models import RUNNING
from tests.nets import train
from tests.registered import NAME

CHAMPION = f"models:/{NAME}@champion"
Gray = npt.NDArray[np.uint8]


@pytest.fixture(scope="session")
def registry(template_store: Path, drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a store whose champion knows the drawn images, and so does ``served``, with hostile files."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(template_store, folder / "mlflow.db")
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    config = TrainConfig.parse({"hidden": "64", "epochs": 4, "batch_size": 32, "precision": "fp32"})
    client.create_experiment("e", artifact_location=str(folder / "artifacts"))
    entity = create_run(client, "e", "a run")
    with MlflowRun(client, entity, folder / "run") as run:
        train(config, prepare(config, drawn), run, run.folder)
    [model] = client.search_logged_models([entity.info.experiment_id])
    client.create_registered_model(NAME)
    client.create_model_version(NAME, model.artifact_location, run.id, model_id=model.model_id)
    promote(client, "1", "champion", drawn, force=True)
    hostile = shutil.copytree(model.artifact_location, folder / "hostile")
    for edit in RUNNING.values():
        edit(hostile)
    client.create_model_version(NAME, str(hostile), run.id)
    promote(client, "2", "served", drawn, force=True)
    return str(client.tracking_uri)


@pytest.fixture(scope="session")
def images(drawn: Dataset) -> Gray:
    """Five pictures in a form that ``to_kmnist`` leaves as it is, (5, 28, 28)."""
    return np.stack([to_kmnist(to_kmnist(image)) for image in drawn.test.pixels[:5]])


@pytest.fixture
def expected(registry: str, images: Gray) -> Predictions:
    """What the champion says of them."""
    return load_model(CHAMPION, tracking_uri=registry).predict(images)


def as_text(image: Gray, form: str = "png", side: int = 28) -> str:
    """A picture as base64."""
    content = BytesIO()
    Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(content, form)
    return base64.b64encode(content.getvalue()).decode()


def as_csv(table: pd.DataFrame) -> tuple[bytes, str]:
    return table.to_csv(index=False).encode(), "text/csv"


def as_json(form: str, value: Any) -> tuple[bytes, str]:
    return json.dumps({form: value}).encode(), "application/json"
