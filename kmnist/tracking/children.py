"""A run with runs below it, all found again by their tags: how a study and its trials are kept."""

import os
import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import TypeVar

import tenacity
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE

from kmnist.errors import TrackingError
from kmnist.tracking.connect import create_run, reason_of, run_page
from kmnist.tracking.heartbeat import heartbeat
from kmnist.tracking.run import MlflowRun

T = TypeVar("T")
OUTAGE_SECONDS = 3600.0
FROM_AN_EPOCH = "valid/loss"  # a metric that a run has after its first epoch


def wait_out(action: Callable[[], T], say: Callable[[str], None]) -> T:
    """Do something that needs the server, again and again while it raises ``TrackingError``, for at most an hour."""

    def tell(state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 2:  # one lost connection is no news
            error = state.outcome.exception() if state.outcome else None
            say(f"waiting for the tracking server: {error}")

    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TrackingError),
        wait=tenacity.wait_exponential(multiplier=0.5, max=15),
        stop=tenacity.stop_after_delay(OUTAGE_SECONDS),
        before_sleep=tell,
        reraise=True,
    )
    return waiting(action)


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
        return create_run(client, experiment_name, run_name, tags)
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
        say: told when the server is away and waited for.
    """

    def __init__(
        self, client: MlflowClient, parent_id: str, work_dir: Path, checkpoint: str, say: Callable[[str], None]
    ) -> None:
        self._client, self._parent_id, self._work_dir, self._checkpoint = client, parent_id, work_dir, checkpoint
        self._say = say

    def __call__(self, name: str, tags: Mapping[str, str], again: bool) -> MlflowRun:
        """A new run; with ``again``, the last one that has these tags, if there is one.

        A run that was begun on another machine has its checkpoint there: it ends as KILLED, and a new one begins.
        A server that is away is waited for: what is logged to a run can wait on disk, but the run itself is the
        server's to make.

        Raises:
            TrackingError: the server has been away for too long, or the parent is not there.
        """
        attempts = count()
        # From the second attempt on it may be there: made by a server that died before it could say so.
        entity = wait_out(lambda: self._find_or_make(name, tags, again or next(attempts) > 0), self._say)
        run = MlflowRun(self._client, entity, self._folder(entity))
        run.log_environment()
        return run

    def _find_or_make(self, name: str, tags: Mapping[str, str], again: bool) -> Run:
        try:
            entity = self._entity(name, tags, again)
            if FROM_AN_EPOCH in entity.data.metrics and not (self._folder(entity) / self._checkpoint).exists():
                self._client.set_tag(entity.info.run_id, "end_reason", "its process died; begun again elsewhere")
                self._client.set_terminated(entity.info.run_id, "KILLED")
                entity = self._entity(name, tags, again=False)
            return entity
        except Exception as error:  # a lost connection comes in any of MLflow's and requests' ways
            raise TrackingError(f"no run can be made below {self._parent_id}: {reason_of(error)}") from error

    def _entity(self, name: str, tags: Mapping[str, str], again: bool) -> Run:
        experiment_id = self._client.get_run(self._parent_id).info.experiment_id
        all_tags = {**tags, MLFLOW_PARENT_RUN_ID: self._parent_id}
        if again:
            newest = ["attributes.start_time DESC"]
            if found := self._client.search_runs([experiment_id], _having(all_tags), order_by=newest, max_results=1):
                return found[0]
        now = time.time_ns() // 1_000_000
        return self._client.create_run(experiment_id, now, {**resolve_tags(), **heartbeat(), **all_tags}, name)

    def _folder(self, entity: Run) -> Path:
        return self._work_dir / str(entity.info.run_id)


def _having(tags: Mapping[str, str]) -> str:
    return " AND ".join(f"tags.`{tag}` = '{text}'" for tag, text in tags.items())
