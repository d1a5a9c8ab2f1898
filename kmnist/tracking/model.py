"""A network as an MLflow model: saved without pickle, taking raw pixels, published once."""

from importlib.metadata import version
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from kmnist.kana import CLASSES

NAME = "model"


def save_model(model: nn.Module, folder: Path) -> None:
    """Save ``model`` as an MLflow model in the ``pt2`` format (torch.export: a graph and its weights, no pickle).

    Whoever loads it needs nothing of this package: raw pixels 0..255, float32 (N, 28, 28) -> log-probabilities (N, 10).
    The model is moved to the CPU and set to evaluation, or dropout and the device would be fixed in the file.
    """
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 28, 28))]),
        outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, CLASSES))]),
    )
    mlflow.pytorch.save_model(
        model.cpu().eval(),
        folder,
        signature=signature,
        input_example=np.zeros((2, 28, 28), np.float32),  # two rows: with one, the batch size would be fixed to 1
        # Named, not inferred: to infer them MLflow imports everything in another process, for seconds.
        pip_requirements=[
            f"mlflow=={version('mlflow')}",
            f"torch=={torch.__version__.partition('+')[0]}",
            f"numpy=={version('numpy')}",
        ],
        serialization_format="pt2",
    )


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
