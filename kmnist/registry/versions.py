"""Versions of the registered model: made from a run, once; listed."""

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from kmnist import record
from kmnist.config import TrainConfig
from kmnist.errors import ModelError, TrackingError
from kmnist.network import load_network
from kmnist.record import TrackedRun
from kmnist.registry.files import download
from kmnist.registry.server import asked, look_up, look_up_version, registered_names, require_active
from kmnist.tracking.read import all_experiments, full_run_id, read_run, search_all, search_all_models

DEFAULT_NAME = "kmnist"
SAMPLE, SAMPLE_MODEL = "sample", "kmnist-sample"  # the drawn sample, and the registered model of what learnt it
DESCRIPTION = (
    "{title}. Served, and as mlflow.pyfunc: pictures (base64 text, or pixels 0..255 of shape (N, {height}, {width})) "
    "to characters with probabilities. As mlflow.pytorch: pixels to log-probabilities (N, {classes})."
)
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
ENVIRONMENT = threading.Lock()
LOOKED_AT = 100  # models at a time, in search of the best
REGISTRATION = "registration"  # tag of a version: which attempt made it


@dataclass(frozen=True)
class Version:
    """A line of ``kmnist models``.

    Attributes:
        number: of the version.
        aliases: that point to it.
        tags: what it was made from, and what the gate said.
    """

    number: int
    aliases: list[str]
    tags: dict[str, str]


def register(client: MlflowClient, run_id: str) -> ModelVersion:
    """Make a version from a run's logged model, of the registered model that is named as the run's data set.

    What learnt the drawn sample is ``kmnist-sample``. The same run again gives the version that it has.

    Raises:
        ModelError: there is no such run, it is deleted, it has no model, or it is not one of ours.
        TrackingError: the server does not answer.
    """
    entity = _run(client, full_run_id(client, run_id))
    run_id, run = entity.info.run_id, read_run(entity)
    if not run.dataset:
        raise ModelError(f"run {run_id} is not a training of kmnist, so its model is not registered")
    model = _logged_model(client, entity)
    tags, described = _describe(run)
    name = SAMPLE_MODEL if run.dataset == SAMPLE else run.dataset
    if look_up(lambda: client.get_registered_model(name)) is None:
        with asked():
            try:
                client.create_registered_model(name, description=_description(client, model))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # just made: by another, or by a call without answer
                    raise
    there = _versions_of(client, name, run_id)
    version = there[0] if there else _make_version(client, name, run_id, model, tags, described)
    _show_version(client, model, version)
    return version


def _show_version(client: MlflowClient, model: LoggedModel, version: ModelVersion) -> None:
    """On MLflow's page of the logged model: it shows what this tag holds, which only its fluent API sets."""
    shown = json.loads((model.tags or {}).get(MLFLOW_MODEL_VERSIONS, "[]"))
    if (mine := {"name": version.name, "version": version.version}) not in shown:
        with asked():
            client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*shown, mine])})


def _make_version(
    client: MlflowClient, name: str, run_id: str, model: LoggedModel, tags: dict[str, str], description: str
) -> ModelVersion:
    """One version, whatever becomes of the answer, and whoever else makes one of the same run at this moment.

    MLflow would make a second one: when the same call is repeated, as when two call at once. So each attempt has a tag
    of its own, and of several versions of a run the oldest stays: whoever made a later one sees the earlier, and
    deletes its own.
    """
    attempt = uuid.uuid4().hex
    failure: TrackingError | None = None
    try:
        with asked(), _sent_once():
            client.create_model_version(
                name,
                model.artifact_location,
                run_id,
                {**tags, REGISTRATION: attempt},
                description=description,
                model_id=model.model_id,
                await_creation_for=0,  # it is there at once; to wait for it, MLflow would write a line to the screen
            )
    except TrackingError as error:  # it may have been made all the same
        failure = error
    there = _versions_of(client, name, run_id)
    if not there:
        raise failure or ModelError(f"the version of run {run_id} was deleted as soon as it was made")
    for version in there[1:]:
        if version.tags.get(REGISTRATION) == attempt:
            with asked():
                client.delete_model_version(name, version.version)
    return there[0]


def find_best(client: MlflowClient, name: str) -> str:
    """The run to register of a study (the one that its confirmation offers) or of an experiment (best on validation).

    Raises:
        ModelError: there is none.
        TrackingError: the server does not answer.
    """
    with asked():
        experiments = all_experiments(client)
        ids = [experiment.experiment_id for experiment in experiments]
        query = f"tags.{record.KIND} = '{record.KIND_STUDY}' AND tags.{record.STUDY} = '{name}'"
        studies = list(search_all(client, ids, query)) if _plain(name) else []
    if len(studies) > 1:
        raise ModelError(
            f"there are {len(studies)} studies named {name!r}; name the run (its tag {record.OFFERED_RUN})"
        )
    if studies:
        if offered := studies[0].data.tags.get(record.OFFERED_RUN):
            return str(offered)
        raise ModelError(f"study {name!r} has not confirmed its best settings yet: kmnist tune --study {name}")
    for experiment in experiments:
        if experiment.name == name:
            for wanted in (lambda run: run.is_official, lambda run: run.dataset == SAMPLE):
                if best := _best_of(client, experiment.experiment_id, wanted):
                    return best
            raise ModelError(
                f"no run of the experiment {name!r} has a model that was trained on a published data set, or on the "
                "sample; name the run: kmnist register RUN_ID"
            )
    there = ", ".join(experiment.name for experiment in experiments)
    raise ModelError(f"there is no study and no experiment {name!r}; the experiments are: {there}")


def _best_of(client: MlflowClient, experiment_id: str, wanted: Callable[[TrackedRun], bool]) -> str | None:
    """The run whose model was best on validation, of those that are not deleted and are wanted."""
    with asked():
        models = search_all_models(client, experiment_id, record.metric(record.VALID, "accuracy"))
        while some := [model.source_run_id for model in islice(models, LOOKED_AT) if model.source_run_id]:
            listed = ", ".join(f"'{run_id}'" for run_id in some)
            found = search_all(client, [experiment_id], f"attributes.run_id IN ({listed})")
            chosen = {run.info.run_id for run in found if wanted(read_run(run))}
            if best := next((run_id for run_id in some if run_id in chosen), None):
                return str(best)
    return None


def trained_with(client: MlflowClient, name: str, number: str) -> TrainConfig | None:
    """The settings of the run that trained a version; ``None`` where there is no such run, or it made an ensemble.

    Raises:
        TrackingError: the server does not answer.
    """
    version = look_up_version(client, name, number)
    run = look_up(lambda: client.get_run(version.run_id or "")) if version and version.run_id else None
    return read_run(run).config if run else None


def tag_version(client: MlflowClient, version: ModelVersion, tags: Mapping[str, str]) -> None:
    """Say something of a version, in tags.

    Raises:
        TrackingError: the server does not answer.
    """
    for tag, text in tags.items():
        with asked():
            client.set_model_version_tag(version.name, version.version, tag, text)


def list_versions(client: MlflowClient, name: str = DEFAULT_NAME) -> list[Version]:
    """Every version of a registered model, the newest first; none if nothing at all was registered.

    Raises:
        ModelError: there is no such registered model, but others are.
        TrackingError: the server does not answer.
    """
    registered = look_up(lambda: client.get_registered_model(name))
    if registered is None:
        if there := registered_names(client):
            raise ModelError(f"there is no registered model {name!r}; there are: {there} (--name)")
        return []
    aliases: dict[str, list[str]] = {}
    for alias, number in registered.aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    versions = [
        Version(int(found.version), aliases.get(str(found.version), []), dict(found.tags))
        for found in _search(client, f"name = '{name}'")
    ]
    return sorted(versions, key=lambda version: -version.number)


def _versions_of(client: MlflowClient, name: str, run_id: str) -> list[ModelVersion]:
    """The versions that were made from a run, the oldest first."""
    there = _search(client, f"name = '{name}' AND run_id = '{run_id}'")
    return sorted(there, key=lambda version: int(version.version))


def _search(client: MlflowClient, query: str) -> list[ModelVersion]:
    with asked():
        return list(client.search_model_versions(query))


@contextmanager
def _sent_once() -> Iterator[None]:
    """MLflow sends nothing again by itself; it reads how often it may from the environment, at every call."""
    with ENVIRONMENT:
        before = os.environ.get(RETRIES)
        os.environ[RETRIES] = "0"
        try:
            yield
        finally:
            if before is None:
                del os.environ[RETRIES]
            else:
                os.environ[RETRIES] = before


def _describe(run: TrackedRun) -> tuple[dict[str, str], str]:
    """A version's tags and its description."""
    accuracy, loss = run.value(record.TEST, "accuracy"), run.value(record.TEST, "loss")
    config, best = run.config, run.metrics.get(record.BEST_EPOCH)
    if run.is_ensemble:
        arch = made = run.tags.get(record.WHAT, "")
    elif config is not None and best is not None:
        arch, made = config.arch, f"epoch {best:.0f} of {config.epochs}"
    else:
        arch = made = ""
    if accuracy is None or loss is None or not made:
        raise ModelError(
            f"run {run.run_id} ({run.status}) does not tell its settings and test metrics: something of it has not "
            "arrived; kmnist sync"
        )
    tags = {
        "run": run.run_id,
        "arch": arch,
        "data.train": run.digests.get(record.TRAIN, ""),
        "data.test": run.digests.get(record.TEST, ""),
        "test_accuracy": repr(accuracy),
        **({record.STUDY: run.study} if run.study else {}),
    }
    return tags, f"{run.name}: test accuracy {accuracy:.2%}, test loss {loss:.4f}, {made}. Run {run.run_id}."


def _description(client: MlflowClient, model: LoggedModel) -> str:
    """Of a registered model, from the first model that it is made of."""
    with TemporaryDirectory() as folder:
        spec = load_network(download(str(model.artifact_location), client.tracking_uri, Path(folder))).spec
    height, width = spec.shape
    return DESCRIPTION.format(title=spec.title, height=height, width=width, classes=len(spec.classes))


def _run(client: MlflowClient, run_id: str) -> Run:
    run = look_up(lambda: client.get_run(run_id))
    if run is None:
        raise ModelError(f"there is no run {run_id!r} on this server")
    require_active(run)
    return run


def _logged_model(client: MlflowClient, run: Run) -> LoggedModel:
    with asked():
        models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    for model in models:
        if model.status.name == "READY":
            return model
    raise ModelError(
        f"run {run.info.run_id} ({run.info.status}) has no model: it has not finished, or is a trial of a study"
    )


def _plain(name: str) -> bool:
    """Whether a name can stand in a query."""
    return "'" not in name and "`" not in name
