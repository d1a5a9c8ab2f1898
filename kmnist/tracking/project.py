"""The run that ``mlflow run`` has made for a command that it starts: named by an environment variable, and checked.

The variable may be left over from another day, or come from another tool. Then the run that it names is not ours to
rename, to train into, or to write a note on.
"""

import os
from collections.abc import Collection

from mlflow import MlflowClient
from mlflow.entities import Run, SourceType
from mlflow.environment_variables import MLFLOW_RUN_ID
from mlflow.utils.mlflow_tags import MLFLOW_PROJECT_ENTRY_POINT, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_TYPE

from kmnist.errors import TrackingError
from kmnist.tracking.connect import run_page, tracking_errors
from kmnist.tracking.heartbeat import TAG

#: Entry points of ``MLproject``, by the command that they start.
TRAIN = ("main", "experiment")
TUNE = ("tune",)
REPORT = ("report",)
ENSEMBLE = ("ensemble",)


def project_run(client: MlflowClient, entry_points: Collection[str]) -> Run | None:
    """What ``mlflow run`` has just made for this command; ``None`` where the command was started otherwise.

    Args:
        client: of the server that has it.
        entry_points: of this command.

    Raises:
        TrackingError: ``MLFLOW_RUN_ID`` names another run; nothing was changed.
    """
    run_id = os.environ.get(MLFLOW_RUN_ID.name)
    if not run_id:
        return None
    way_out = "unset MLFLOW_RUN_ID, and a new run is made"
    with tracking_errors(f"run {run_id}, which MLFLOW_RUN_ID names, cannot be read", way_out):
        run = client.get_run(run_id)
    if reason := _not_for(run, entry_points):
        raise TrackingError(
            f"MLFLOW_RUN_ID={run_id}: that run {reason}; only one that `mlflow run` has just made for this command is "
            f"taken (RUNNING, without metrics, entry point {' or '.join(entry_points)}); {way_out}"
        )
    return run


def point_to(client: MlflowClient, made: Run, run: Run, what: str) -> None:
    """Where a command goes on with an older run than the one that was made for it: say so in the note of that.

    Raises:
        TrackingError: the server does not take it.
    """
    if made.info.run_id != run.info.run_id:
        page = run_page(run.info.experiment_id, run.info.run_id)
        with tracking_errors(f"the note of run {made.info.run_id} cannot be written"):
            client.set_tag(
                made.info.run_id, MLFLOW_RUN_NOTE, f"This command went on with [{what}]({page}): look there."
            )


def _not_for(run: Run, entry_points: Collection[str]) -> str | None:
    """Why a run is not one that was just made for these entry points."""
    entry_point = run.data.tags.get(MLFLOW_PROJECT_ENTRY_POINT)
    if run.info.lifecycle_stage != "active":
        return "is deleted"
    if run.data.tags.get(MLFLOW_SOURCE_TYPE) != SourceType.to_string(SourceType.PROJECT) or entry_point is None:
        return "was not made by `mlflow run`"
    if entry_point not in entry_points:
        return f"was made for the entry point {entry_point}"
    if run.info.status != "RUNNING":
        return f"is {run.info.status}"
    if run.data.metrics:
        return "has metrics"
    if TAG in run.data.tags:
        return "was taken by another command"
    return None
