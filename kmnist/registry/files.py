"""The files of a model: a copy of one's own, and one number that stands for all of them."""

import hashlib
import json
from pathlib import Path

import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kmnist.errors import ModelError, TrackingError
from kmnist.registry.server import asked, is_not_found, one_line

WRITTEN_BY_MLFLOW = {"__pycache__", "registered_model_meta"}


def download_version(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """Copy the files of a version into ``folder``, as they lie in the artifact store; gives the folder of the copy.

    Raises:
        ModelError: they are gone, or are no plain files.
        TrackingError: the server does not answer.
    """
    with asked():
        place = client.get_model_version_download_uri(version.name, version.version)
    # By this address: by that of the version, MLflow would put a file of its own among them.
    return download(place, client.tracking_uri, folder)


def download(uri: str, tracking_uri: str, folder: Path) -> Path:
    """Copy what lies at an address of MLflow's into ``folder``; gives the folder of the copy.

    Raises:
        ModelError: there is nothing, or it is no plain files.
        TrackingError: the server does not answer.
    """
    try:
        copy = mlflow.artifacts.download_artifacts(uri, dst_path=str(folder), tracking_uri=tracking_uri)
    except MlflowException as error:
        if is_not_found(error):
            raise ModelError(f"model {uri} cannot be loaded: {one_line(error)}") from error
        raise TrackingError(
            f"the files of model {uri} cannot be had ({one_line(error)}); try again when the server answers"
        ) from error
    except Exception as error:  # of requests, the client of a cloud, the disk
        raise TrackingError(f"the files of model {uri} cannot be had ({one_line(error)})") from error
    return Path(copy)


def digest_files(folder: Path) -> str:
    """SHA-256 over the paths and contents of all files below ``folder``, in the order of their paths.

    Without those that MLflow writes there when it loads a model from a store on the same machine; of what is left out,
    this package reads nothing.

    Raises:
        ModelError: something there is no plain file.
    """
    manifest = []
    for path in folder.rglob("*"):
        if WRITTEN_BY_MLFLOW & set(path.relative_to(folder).parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelError(f"{path.relative_to(folder)} is no plain file: a model has no links, pipes or devices")
        if path.is_file():
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            manifest.append((path.relative_to(folder).as_posix(), content))
    return hashlib.sha256(json.dumps(sorted(manifest)).encode()).hexdigest()
