"""A saved model becomes the logged model of a run, once."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.models import Model

from kmnist.tracking.model import NAME


def publish_model(
    client: MlflowClient, run_id: str, folder: Path, *, step: int, metrics: dict[str, float], timestamp_ms: int
) -> str:
    """Make what :func:`save_model` wrote the logged model of a run, linked to its ``metrics`` at ``step``.

    They must be the points that the run has: MLflow links them by logging them again, under the model's id.

    Publishing again what arrived before makes no second model.

    Returns:
        The id of the logged model.
    """
    run = client.get_run(run_id)
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}' AND name = '{NAME}'")
    logged = (
        found[0]
        if found
        else client.create_logged_model(run.info.experiment_id, NAME, source_run_id=run_id, params=run.data.params)
    )
    if logged.status != LoggedModelStatus.READY:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=step)])
        client.log_batch(
            run_id,
            [Metric(k, v, timestamp_ms, step, run_id=run_id, model_id=logged.model_id) for k, v in metrics.items()],
        )
        described = Model.load(folder)
        described.run_id, described.model_id = run_id, logged.model_id
        described.model_uuid, described.artifact_path = logged.model_id, logged.artifact_location
        described.save(folder / "MLmodel")
        client.log_model_artifacts(logged.model_id, str(folder))
        client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return logged.model_id
