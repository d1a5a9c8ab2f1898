"""Runs that belong together, but not one below the other."""

from collections.abc import Iterable, Mapping

from mlflow import MlflowClient
from mlflow.entities import RunTag

from kmnist.tracking.connect import WAY_OUT, tracking_errors


def tag_runs(client: MlflowClient, run_ids: Iterable[str], tags: Mapping[str, str]) -> None:
    """Say something at runs that have ended; again, it changes nothing.

    Raises:
        TrackingError: one is not there, or the server does not answer.
    """
    for run_id in run_ids:
        with tracking_errors(f"the tags of run {run_id} cannot be written", WAY_OUT):
            client.log_batch(run_id, tags=[RunTag(tag, text) for tag, text in tags.items()])
