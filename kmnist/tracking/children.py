"""A run with runs below it, all found again by their tags: how a study and its trials are kept."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from kmnist.errors import TrackingError
from kmnist.tracking.connect import create_run, reason_of, run_page
from kmnist.tracking.run import MlflowRun

FROM_AN_EPOCH = "valid/loss"  # a metric that a run has after its first epoch


def parent_run(client: MlflowClient, experiment_name: str, run_name: str, tags: Mapping[str, str]) -> Run:
    """The run of an experiment that has ``tags``, or a new one, or the one that ``mlflow run`` made for us.

    Raises:
        TrackingError: the experiment is deleted, or the server does not answer.
    """
    try:
        experiment = client.get_experiment_by_name(experiment_name)
        if experiment is not None and not os.environ.get("MLFLOW_RUN_ID"):
            found = client.search_runs([experiment.experiment_id], _having(tags), max_results=1)
            if found:
                return found[0]
        run = create_run(client, experiment_name, run_name)
        for tag, text in tags.items():
            client.set_tag(run.info.run_id, tag, text)
        return run
    except MlflowException as error:
        raise TrackingError(f"no run can be made in {experiment_name!r}: {reason_of(error)}") from error


def point_to(client: MlflowClient, run: Run, what: str) -> None:
    """Where ``mlflow run`` made a run for a command that goes on with an older one: say so in its note."""
    outer = os.environ.get("MLFLOW_RUN_ID")
    if outer and outer != run.info.run_id:
        page = run_page(run.info.experiment_id, run.info.run_id)
        client.set_tag(outer, MLFLOW_RUN_NOTE, f"This command went on with [{what}]({page}): look there.")


class ChildRuns:
    """Makes runs below ``parent_id``. Each writes to a folder of its own in ``work_dir``.

    Args:
        client: of the server that has the parent.
        parent_id: the run that they are shown under in the UI.
        work_dir: for checkpoints and journals.
        checkpoint: name of the file in a run's folder without which the run cannot be gone on with.
    """

    def __init__(self, client: MlflowClient, parent_id: str, work_dir: Path, checkpoint: str) -> None:
        self._client, self._parent_id, self._work_dir, self._checkpoint = client, parent_id, work_dir, checkpoint

    def __call__(self, name: str, tags: Mapping[str, str], again: bool) -> MlflowRun:
        """A new run; with ``again``, the last one that has these tags, if there is one.

        A run that was begun on another machine has its checkpoint there: it ends as KILLED, and a new one begins.

        Raises:
            TrackingError: the server does not answer, or the parent is not there.
        """
        try:
            entity = self._entity(name, tags, again)
            if FROM_AN_EPOCH in entity.data.metrics and not (self._folder(entity) / self._checkpoint).exists():
                self._client.set_tag(entity.info.run_id, "end_reason", "its process died; begun again elsewhere")
                self._client.set_terminated(entity.info.run_id, "KILLED")
                entity = self._entity(name, tags, again=False)
        except Exception as error:  # a lost connection comes in any of MLflow's and requests' ways
            raise TrackingError(f"no run can be made below {self._parent_id}: {reason_of(error)}") from error
        run = MlflowRun(self._client, entity, self._folder(entity))
        run.log_environment()
        return run

    def _entity(self, name: str, tags: Mapping[str, str], again: bool) -> Run:
        experiment_id = self._client.get_run(self._parent_id).info.experiment_id
        all_tags = {**tags, MLFLOW_PARENT_RUN_ID: self._parent_id}
        if again:
            newest = ["attributes.start_time DESC"]
            if found := self._client.search_runs([experiment_id], _having(all_tags), order_by=newest, max_results=1):
                return found[0]
        now = time.time_ns() // 1_000_000
        return self._client.create_run(experiment_id, now, {**resolve_tags(), **all_tags}, name)

    def _folder(self, entity: Run) -> Path:
        return self._work_dir / str(entity.info.run_id)


def _having(tags: Mapping[str, str]) -> str:
    return " AND ".join(f"tags.`{tag}` = '{text}'" for tag, text in tags.items())
