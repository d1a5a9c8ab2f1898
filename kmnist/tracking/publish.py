"""A saved model becomes the logged model of a run, once, whatever answers of the server are lost on the way."""

from contextlib import suppress
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities import Dataset, LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric, Run
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from kmnist.durable import replace_file
from kmnist.tracking.upload import upload_model

#: Tells the models that we made of a run from those that its user may have logged to it.
OURS = {"kmnist.logged_by": "journal"}


def is_ours(model: LoggedModel) -> bool:
    """Whether we made it, not the user of its run."""
    return OURS.items() <= model.tags.items()


def publish_model(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    *,
    name: str,
    step: int,
    metrics: dict[str, float],
    timestamp_ms: int,
) -> str:
    """Make what :func:`save_model` wrote the logged model of a run, linked to its ``metrics`` at ``step``.

    They must be the points that the run has: MLflow links them by logging them again, under the model's id.

    May be called again after any error and takes up what is there: a request whose answer was lost may have been
    carried out. A model that was begun is FAILED, not PENDING, for as long as it is not complete.

    Returns:
        The id of the logged model.

    Raises:
        MlflowException: the server refuses, or is away; artifacts may also raise what ``requests`` does.
    """
    run = client.get_run(run_id)
    found = _find(client, run, name)
    if found and found[0].status == LoggedModelStatus.READY:
        logged = found[0]
    else:
        logged = found[0] if found else _create(client, run, name)
        try:
            _fill(client, run, logged, folder, step=step, metrics=metrics, timestamp_ms=timestamp_ms)
        except Exception:
            with suppress(Exception):  # the server is away; it is told when it is back
                client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            raise
    # A creation whose answer was lost, or came to the server late, may have left another one.
    for leftover in _find(client, run, name):
        if leftover.model_id != logged.model_id and is_ours(leftover):
            client.delete_logged_model(leftover.model_id)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return logged.model_id


def _find(client: MlflowClient, run: Run, name: str) -> list[LoggedModel]:
    """Those of the run's models that have the name: first the one to go on with."""
    found = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}' AND name = '{name}'"
    )
    return sorted(
        found,
        key=lambda model: (
            model.status != LoggedModelStatus.READY,
            model.model_id not in _outputs(run),
            model.creation_timestamp,
            model.model_id,
        ),
    )


def _create(client: MlflowClient, run: Run, name: str) -> LoggedModel:
    # Without the parameters: more than MLflow puts into one request would be lost with the answer to the first.
    return client.create_logged_model(run.info.experiment_id, name, source_run_id=run.info.run_id, tags=OURS)


def _fill(
    client: MlflowClient,
    run: Run,
    logged: LoggedModel,
    folder: Path,
    *,
    step: int,
    metrics: dict[str, float],
    timestamp_ms: int,
) -> None:
    run_id, model_id = run.info.run_id, logged.model_id
    if missing := {name: text for name, text in run.data.params.items() if name not in (logged.params or {})}:
        client.log_model_params(model_id, missing)  # MLflow refuses one that is there
    if model_id not in _outputs(run):  # as it does with an output
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=step)])
    points, datasets = [], _datasets(run)
    for name, value in metrics.items():
        dataset = datasets.get(name.partition("/")[0])
        of, digest = (dataset.name, dataset.digest) if dataset else (None, None)  # its pages group metrics by them
        points.append(Metric(name, value, timestamp_ms, step, model_id, of, digest, run_id))
    client.log_batch(run_id, points)
    _name_in_description(folder / "MLmodel", run_id, logged)
    upload_model(client, model_id, folder)


def _name_in_description(file: Path, run_id: str, logged: LoggedModel) -> None:
    """Write into a model's description whose it is. MLflow's own class for it needs pandas."""
    described = yaml.safe_load(file.read_text("utf-8"))
    model_id = logged.model_id
    described |= {"run_id": run_id, "model_id": model_id, "model_uuid": model_id}
    described["artifact_path"] = logged.artifact_location
    replace_file(file, yaml.safe_dump(described, allow_unicode=True, sort_keys=False).encode())


def _datasets(run: Run) -> dict[str, Dataset]:
    """Split -> the data set that the run has as its input."""
    given = run.inputs.dataset_inputs if run.inputs else []
    return {tag.value: one.dataset for one in given for tag in one.tags if tag.key == MLFLOW_DATASET_CONTEXT}


def _outputs(run: Run) -> set[str]:
    """The ids of the models that the run has as outputs."""
    return {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
