"""Versions of the registered model: made from a run, listed."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from kmnist.errors import ModelError

NAME = "kmnist"


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
    """Make a version of the registered model from a run's logged model; the same run again gives the version it has.

    Raises:
        ModelError: there is no such run, or it has no model, or it was trained on the sample set.
    """
    run = _run(client, run_id)
    if run.data.tags.get("dataset") != "kmnist":
        raise ModelError(f"run {run_id} was trained on {run.data.tags.get('dataset')}, not on Kuzushiji-MNIST")
    model = _logged_model(client, run)
    try:
        client.create_registered_model(
            NAME, description="Kuzushiji-MNIST: raw pixels (N, 28, 28) to log-probabilities."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    for version in client.search_model_versions(f"name = '{NAME}'"):
        if version.run_id == run_id:
            return version
    metrics, params = run.data.metrics, run.data.params
    inputs = run.inputs.dataset_inputs if run.inputs else []
    digests = {data.tags[0].value: data.dataset.digest for data in inputs if data.tags}
    tags = {
        "run": run_id,
        "arch": params["arch"],
        "data.train": digests.get("train", ""),
        "data.test": digests.get("test", ""),
        "test_accuracy": repr(metrics["test/accuracy"]),
        **({"study": run.data.tags["study"]} if "study" in run.data.tags else {}),
    }
    described = (
        f"{run.info.run_name}: test accuracy {metrics['test/accuracy']:.2%}, test loss {metrics['test/loss']:.4f}, "
        f"epoch {metrics['best_epoch']:.0f} of {params['epochs']}. Run {run_id}."
    )
    return client.create_model_version(
        NAME, model.artifact_location, run_id, tags, description=described, model_id=model.model_id
    )


def find_best(client: MlflowClient, name: str) -> str:
    """The run to register of a study (the one that its confirmation offers) or of an experiment (best on validation).

    Raises:
        ModelError: there is none.
    """
    experiments = client.search_experiments()
    ids = [experiment.experiment_id for experiment in experiments]
    studies = client.search_runs(ids, f"tags.kind = 'study' AND tags.study = '{name}'") if _plain(name) else []
    if len(studies) > 1:
        raise ModelError(f"there are {len(studies)} studies named {name!r}; name the run (its tag study.offered_run)")
    if studies:
        if offered := studies[0].data.tags.get("study.offered_run"):
            return str(offered)
        raise ModelError(f"study {name!r} has not confirmed its best settings yet: kmnist tune --study {name}")
    for experiment in experiments:
        if experiment.name == name:
            best_first = [{"field_name": "metrics.valid/accuracy", "ascending": False}]
            models = client.search_logged_models([experiment.experiment_id], order_by=best_first, max_results=50)
            for model in models:
                if model.source_run_id and _run(client, model.source_run_id).data.tags.get("dataset") == "kmnist":
                    return str(model.source_run_id)
            raise ModelError(f"no run of the experiment {name!r} has a model that was trained on Kuzushiji-MNIST")
    there = ", ".join(experiment.name for experiment in experiments)
    raise ModelError(f"there is no study and no experiment {name!r}; the experiments are: {there}")


def list_versions(client: MlflowClient) -> list[Version]:
    """Every version, the newest first; none if nothing was registered."""
    try:
        registered = client.get_registered_model(NAME)
    except MlflowException:
        return []
    aliases: dict[str, list[str]] = {}
    for alias, number in registered.aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    found = client.search_model_versions(f"name = '{NAME}'")
    versions = [Version(int(found.version), aliases.get(str(found.version), []), dict(found.tags)) for found in found]
    return sorted(versions, key=lambda version: -version.number)


def _run(client: MlflowClient, run_id: str) -> Run:
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        raise ModelError(f"there is no run {run_id!r} on this server ({error.message.splitlines()[0]})") from error


def _logged_model(client: MlflowClient, run: Run) -> LoggedModel:
    ids = [run.info.experiment_id]
    for model in client.search_logged_models(ids, f"source_run_id = '{run.info.run_id}'"):
        if model.status.name == "READY":
            return model
    raise ModelError(
        f"run {run.info.run_id} ({run.info.status}) has no model: it has not finished, or is a trial of a study"
    )


def _plain(name: str) -> bool:
    """Whether a name can stand in a query."""
    return "'" not in name and "`" not in name
