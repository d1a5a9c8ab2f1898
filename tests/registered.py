"""Versions of the registered model that cost no training: networks with random weights, said to be trained."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.network import SavedNetwork
from kmnist.tracking import create_run
from kmnist.tracking.model import save_model
from tests.nets import network

NAME = "kmnist"


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that nobody trained; to be copied, not to be changed."""
    config = TrainConfig.parse({"hidden": "8"})
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(SavedNetwork(network(config), config, SPEC), folder)
    return folder


def make_version(client: MlflowClient, folder: Path) -> str:
    """Make ``folder`` a version; gives its number. The gate refuses it, so that an alias takes ``force``."""
    run_id = create_run(client, "e", "a run").info.run_id
    for name, text in {"seed": "0", "valid_fraction": "0.5"}.items():
        client.log_param(run_id, name, text)
    return str(client.create_model_version(NAME, str(folder), run_id).version)


def holder(client: MlflowClient, alias: str = "champion") -> str | None:
    """The number of the version that has an alias."""
    number = client.get_registered_model(NAME).aliases.get(alias)
    return None if number is None else str(number)
