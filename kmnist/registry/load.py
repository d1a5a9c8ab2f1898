"""Any name of a model -> a classifier: ``models:/kmnist@champion``, ``runs:/ID/model``, a path, ..."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from torch import nn

from kmnist.checkpoint import FILE_NAME, load_checkpoint
from kmnist.errors import CheckpointError, ModelError
from kmnist.inference import Classifier
from kmnist.network import SavedNetwork, build_from
from kmnist.network import load_network as read_network
from kmnist.record import ANY_MODEL
from kmnist.registry.files import digest_files, download, download_version
from kmnist.registry.server import asked, look_up, look_up_version, registered_names
from kmnist.registry.signature import DIGEST, check_certified, check_digest, check_signature
from kmnist.tracking.connect import open_client
from kmnist.tracking.publish import is_ours
from kmnist.tracking.read import full_run_id

LOGGED = re.compile(r"models:/(?P<id>m-\w+)")
OF_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<name>.+)")
FORMS = (
    "must be models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-ID, runs:/RUN_ID/model, the folder of a saved MLflow "
    "model (with a file MLmodel) or of a checkpoint"
)
REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Fetched:
    """A network, and what the server knows it as.

    Attributes:
        saved: the network.
        version: of a registered model, where it was asked for as one.
        model_id: of its logged model; none of a path.
        run_id: that it was logged in; none of a path.
    """

    saved: SavedNetwork
    version: ModelVersion | None = None
    model_id: str | None = None
    run_id: str | None = None


def load_model(uri: str, *, tracking_uri: str | None = None) -> Classifier:
    """Load a model, for pictures in the form of the training images.

    Only weights and settings are read, which are plain data; the network is built from them. No graph, pickle or code
    of the model's own runs, whatever its files say. What is loaded by an alias must have been through the gate, with
    the files that it has now; with ``KMNIST_VERIFY_KEY``, every registered version must be signed.

    Example:
        >>> model = load_model("models:/kmnist@champion")  # doctest: +SKIP
        >>> model.predict(images).kana  # images: (N, 28, 28), values 0..255, light on dark  # doctest: +SKIP
        ['お', 'き']

    Args:
        uri: ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/m-ID`` (a logged model),
            ``runs:/RUN_ID/model``, the path of a saved MLflow model's folder, or of a checkpoint (its best weights).
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.

    Raises:
        ModelError: there is no such model (the message lists those there are), it was not saved by this package, it is
            damaged, or its files are not those that went through the gate.
        TrackingError: the server does not answer.
    """
    saved = fetch_network(uri, tracking_uri=tracking_uri)
    return Classifier(saved.network, saved.spec, uri, saved.calibration)


def load_network(uri: str, *, tracking_uri: str | None = None) -> nn.Module:
    """Load a model as an ordinary network, to look into, or to go on training with a loop of one's own.

    It is rebuilt from weights and settings, so ``train()``, ``eval()`` and ``state_dict()`` work, which raise or are
    fixed in the graph that ``mlflow.pytorch.load_model`` gives. Arguments and errors are ``load_model``'s.

    Example:
        >>> network = load_network("models:/kmnist@champion").train()  # doctest: +SKIP

    Returns:
        The network, in evaluation mode: raw pixels 0..255, float32 (N, H, W) -> log-probabilities (N, C).
    """
    return fetch_network(uri, tracking_uri=tracking_uri).network


def fetch_network(uri: str, *, tracking_uri: str | None = None) -> SavedNetwork:
    """The network behind a name, and what it is. Arguments and errors are ``load_model``'s."""
    return fetch(uri, tracking_uri=tracking_uri).saved


def fetch(uri: str, *, tracking_uri: str | None = None) -> Fetched:
    """The same, with what the server knows it as."""
    try:
        if not uri.startswith(("models:/", "runs:/")):
            return Fetched(_from_path(Path(uri)))
        with asked():
            client = open_client(tracking_uri, make=False)
        if match := REGISTERED.fullmatch(uri):
            version = find_version(client, match["name"], match["alias"], match["version"])
            saved, digest = load_version(client, version)
            (check_certified if match["alias"] else check_signature)(version, digest)
            return Fetched(saved, version, _model_of(client, version), version.run_id)
        model = _find_logged_model(client, uri)
        with TemporaryDirectory() as folder, _without_bars():
            saved = read_network(download(str(model.artifact_location), client.tracking_uri, Path(folder)))
        return Fetched(saved, model_id=model.model_id, run_id=model.source_run_id)
    except (ModelError, CheckpointError) as error:
        text = str(error)
        raise ModelError(text if uri in text else f"model {uri}: {text}") from error


def named_version(uri: str, *, tracking_uri: str | None = None) -> ModelVersion | None:
    """The registered version that a name stands for now; ``None`` where it is no registered model's.

    Raises:
        ModelError: there is none; the message lists those there are.
        TrackingError: the server does not answer.
    """
    match = REGISTERED.fullmatch(uri)
    if match is None:
        return None
    with asked():
        client = open_client(tracking_uri, make=False)
    return find_version(client, match["name"], match["alias"], match["version"])


def identity(version: ModelVersion | None) -> tuple[str, str | None, str | None] | None:
    """What tells a version from every other: its number alone begins at 1 again when its model is deleted and remade.

    Returns:
        Its number, run and the digest of its files, which the gate records.
    """
    return None if version is None else (str(version.version), version.run_id, version.tags.get(DIGEST))


def load_version(client: MlflowClient, version: ModelVersion) -> tuple[SavedNetwork, str]:
    """The network of a version, and the digest of its files, all of one copy of them.

    Raises:
        ModelError: they are damaged, or not those that went through the gate.
        TrackingError: the server does not answer.
    """
    with TemporaryDirectory() as folder, _without_bars():
        files = download_version(client, version, Path(folder))
        digest = digest_files(files)
        check_digest(version, digest)
        return read_network(files), digest


def find_version(client: MlflowClient, name: str, alias: str | None, number: str | None) -> ModelVersion:
    """A version by an alias or its number.

    Raises:
        ModelError: there is none; the message lists those there are.
        TrackingError: the server does not answer.
    """
    registered = look_up(lambda: client.get_registered_model(name))
    if registered is None:
        names = registered_names(client) or "none; kmnist register RUN_ID"
        raise ModelError(f"there is no registered model {name!r}; there are: {names}")
    if alias and alias not in registered.aliases:
        there = ", ".join(f"{name}@{alias} (version {number})" for alias, number in registered.aliases.items())
        raise ModelError(f"{name!r} has no alias {alias!r}; there are: {there or 'none; kmnist promote'}")
    number = str(registered.aliases[alias]) if alias else str(number)
    version = look_up_version(client, name, number)
    if version is None:
        with asked():
            numbers = ", ".join(str(found.version) for found in client.search_model_versions(f"name = '{name}'"))
        there = numbers or "none; kmnist register RUN_ID"
        raise ModelError(f"{name!r} has no version {number[:80]}; there are: {there}")
    return version


def _model_of(client: MlflowClient, version: ModelVersion) -> str | None:
    """The logged model that a version was made of; MLflow's own registry keeps only where its files are."""
    run = look_up(lambda: client.get_run(version.run_id or "")) if version.run_id else None
    if run is None:
        return None
    with asked():
        found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return next((str(model.model_id) for model in found if model.artifact_location == version.source), None)


def _find_logged_model(client: MlflowClient, uri: str) -> LoggedModel:
    """A logged model by its id, or by its run and name.

    MLflow's own way from a run to its models takes an outage for a model that is not there.
    """
    if match := LOGGED.fullmatch(uri):
        model_id = match["id"]
        model = look_up(lambda: client.get_logged_model(model_id))
        if model is None:
            raise ModelError("there is no such logged model on this server")
        return model
    if match := OF_RUN.fullmatch(uri):
        run_id, name = full_run_id(client, match[1]), match[2]
        run = look_up(lambda: client.get_run(run_id))
        if run is None:
            raise ModelError(f"there is no run {run_id!r} on this server")
        with asked():
            found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
        ready = {model.name: model for model in found if model.status == "READY"}
        if name in ready:
            return ready[name]
        ours = [model for model in ready.values() if is_ours(model)]
        if name != ANY_MODEL or len(ours) != 1:
            raise ModelError(f"the run has no model {name!r}; it has: {', '.join(ready) or 'none'}")
        return ours[0]
    raise ModelError(FORMS)


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bar of MLflow's for each file: a model has few and small ones. Whoever asks for bars has them."""
    name = MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.name
    if name in os.environ:
        yield
        return
    os.environ[name] = "false"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def _from_path(path: Path) -> SavedNetwork:
    try:
        if path.name == FILE_NAME or (path / FILE_NAME).is_file():
            checkpoint = load_checkpoint(path.parent if path.name == FILE_NAME else path)
            config, spec = checkpoint.config, checkpoint.spec
            return SavedNetwork(build_from(config, spec, checkpoint.best), config, spec)
        if (path / "MLmodel").is_file():
            return read_network(path)
    except (OSError, ValueError) as error:  # no path of this system
        raise ModelError(str(error)) from error
    raise ModelError(FORMS)
