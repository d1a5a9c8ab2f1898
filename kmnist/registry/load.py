"""Any name of a model -> a classifier: ``models:/kmnist@champion``, ``runs:/ID/model``, a path, ..."""

import os
import re
from pathlib import Path

import mlflow.artifacts
import mlflow.pytorch
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from kmnist.checkpoint import FILE_NAME, load_checkpoint
from kmnist.errors import CheckpointError, ModelError, root_reason
from kmnist.inference import Classifier
from kmnist.models import build

REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


def load_model(uri: str, *, tracking_uri: str | None = None) -> Classifier:
    """Load a model, for pictures in the form of the training images.

    Nothing is unpickled, and no code of the model's own is run, whatever its files say.

    Example:
        >>> model = load_model("models:/kmnist@champion")  # doctest: +SKIP
        >>> model.predict(images).kana  # images: (N, 28, 28), values 0..255, light on dark  # doctest: +SKIP
        ['お', 'き']

    Args:
        uri: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/m-ID`` (a logged model),
            ``runs:/RUN_ID/model``, the path of a saved MLflow model's folder, or of a checkpoint (its best weights).
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.

    Raises:
        ModelError: there is no such model (the message lists those there are), or it cannot be loaded without pickle.
    """
    path = Path(uri)
    if uri.startswith(("models:/", "runs:/")):
        return Classifier(_from_mlflow(uri, _client(tracking_uri)), uri)
    if path.name == FILE_NAME or (path / FILE_NAME).is_file():
        return Classifier(_from_checkpoint(path.parent if path.name == FILE_NAME else path), uri)
    if (path / "MLmodel").is_file():
        return Classifier(_unpickled(str(path), None), uri)
    raise ModelError(
        f"model {uri}: must be models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN_ID/model, the folder of a saved "
        "MLflow model (with a file MLmodel) or of a checkpoint"
    )


def _client(tracking_uri: str | None) -> MlflowClient:
    try:
        return MlflowClient(tracking_uri)
    except MlflowException as error:
        raise ModelError(f"the tracking server cannot be used: {root_reason(error)}") from error


def _from_mlflow(uri: str, client: MlflowClient) -> torch.nn.Module:
    if match := REGISTERED.fullmatch(uri):
        _see_that_it_exists(client, match["name"], match["alias"], match["version"])
    return _unpickled(uri, client.tracking_uri)


def _unpickled(uri: str, tracking_uri: str | None) -> torch.nn.Module:
    before = os.environ.get("MLFLOW_ALLOW_PICKLE_DESERIALIZATION")
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    try:
        if tracking_uri:
            mlflow.set_tracking_uri(tracking_uri)
        folder = mlflow.artifacts.download_artifacts(uri)
        if Model.load(folder).flavors.get(mlflow.pytorch.FLAVOR_NAME, {}).get("code"):
            raise ModelError(f"model {uri} is not loaded: it brings code of its own, which would run here")
        model: torch.nn.Module = mlflow.pytorch.load_model(folder)
    except ModelError:
        raise
    except Exception as error:  # of MLflow, torch, requests, SQLAlchemy, by what is wrong
        raise ModelError(f"model {uri} cannot be loaded: {root_reason(error)}") from error
    finally:
        if before is None:
            del os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"]
        else:
            os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = before
    return model


def _from_checkpoint(folder: Path) -> torch.nn.Module:
    try:
        checkpoint = load_checkpoint(folder)
    except CheckpointError as error:
        raise ModelError(str(error)) from error
    model = build(checkpoint.config, 0.0, 1.0)  # what it normalises by is among the weights
    model.load_state_dict(checkpoint.best)
    return model.eval()


def _see_that_it_exists(client: MlflowClient, name: str, alias: str | None, version: str | None) -> None:
    """MLflow would say that something was not found, but not what there is."""
    try:
        registered = client.get_registered_model(name)
        if alias and alias not in registered.aliases:
            there = ", ".join(f"{name}@{alias} (version {number})" for alias, number in registered.aliases.items())
            raise ModelError(f"model {name!r} has no alias {alias!r}; there are: {there or 'none; kmnist promote'}")
        if version:
            client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise ModelError(f"the registry cannot be read: {root_reason(error)}") from error
        names = ", ".join(found.name for found in client.search_registered_models()) or "none; kmnist register RUN_ID"
        numbers = ", ".join(str(found.version) for found in client.search_model_versions(f"name = '{name}'"))
        what = f"model {name!r} has no version {version}; there are: {numbers}" if numbers else None
        raise ModelError(what or f"there is no registered model {name!r}; there are: {names}") from error
