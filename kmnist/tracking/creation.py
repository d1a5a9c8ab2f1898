"""Making a run exactly once, whatever becomes of the request or of its answer.

A server gives a run its id, so a creation that is repeated makes a second run: one whose answer was lost must not be.
Each creation therefore has a tag of its own, which is looked for before every further attempt.
"""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import tenacity
from mlflow import MlflowClient
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from kmnist.addresses import folder_address, local_folder
from kmnist.errors import TrackingError
from kmnist.tracking.connect import WAY_OUT, ServerAway, tracking_errors
from kmnist.tracking.heartbeat import heartbeat, now_ms
from kmnist.tracking.places import ArtifactsElsewhere, check_location, check_place
from kmnist.tracking.project import TRAIN, project_run

T = TypeVar("T")
CREATION = "kmnist.creation"
#: Lets the UI open an experiment of ours with its charts, not with its pages for language models.
AS_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
START_SECONDS = 20.0  # that a command waits at its start
#: What MLflow's tables hold; sqlite takes more, and a database server refuses it.
LONGEST_NAME, LONGEST_EXPERIMENT = 250, 256
LASTING = ArtifactsElsewhere  # what no waiting changes


def create_run(
    client: MlflowClient,
    experiment_name: str,
    run_name: str,
    tags: Mapping[str, str] | None = None,
    *,
    made: Run | None = None,
) -> Run:
    """A new RUNNING run with a name and ``tags``; or ``made``, or what ``mlflow run`` has made for this training.

    A server that answers with an outage is waited for, for a while.

    Raises:
        TrackingError: the experiment is deleted, the run cannot be made, that of ``mlflow run`` is not for us, or its
            artifacts would not be where they are looked for.
    """
    made = made or project_run(client, TRAIN)
    creation = Creation(client, run_name, tags or {})

    def attempt() -> Run:
        with tracking_errors(f"no run can be made in {experiment_name!r}", WAY_OUT):
            if made is None:
                return creation(experiment_id(client, experiment_name))
            check_place(client, made)
            taken = {MLFLOW_RUN_NAME: cut_name(run_name), **creation.tags}
            client.log_batch(made.info.run_id, tags=[RunTag(tag, text) for tag, text in taken.items()])
            return client.get_run(made.info.run_id)

    return wait_out(attempt, START_SECONDS, on=ServerAway)


class Creation:
    """One run that is to be made. Called again after an error, it finds what the server made all the same.

    Args:
        client: of the server.
        name: of the run; cut where it is too long for MLflow.
        tags: of the run, besides those that all runs have.
        began_ms: when it began; ``None``: it does so now.

    Attributes:
        tags: all that it is given.
        tried: whether the server has been asked.
    """

    def __init__(self, client: MlflowClient, name: str, tags: Mapping[str, str], began_ms: int | None = None) -> None:
        self._client, self._name, self.tried, self._began_ms = client, cut_name(name), False, began_ms
        self.tags: dict[str, str] = {CREATION: uuid.uuid4().hex, **heartbeat(), **tags}

    def __call__(self, experiment_id: str) -> Run:
        """The run, in an experiment. If there is more than one, for requests get repeated on the way, the others go.

        Raises:
            ArtifactsElsewhere: its artifacts would not be where they are looked for; it was deleted again.
        """
        found = self._found(experiment_id) if self.tried else []
        if not found:
            self.tried = True
            made = self._client.create_run(
                experiment_id, self._began_ms or now_ms(), {**resolve_tags(), **self.tags}, self._name
            )
            found = self._found(experiment_id) or [made]
        for extra in found[1:]:
            self._client.delete_run(extra.info.run_id)
        try:
            check_place(self._client, found[0])
        except ArtifactsElsewhere:  # which only a run that is there can tell
            self._client.delete_run(found[0].info.run_id)
            raise
        return found[0]

    def _found(self, experiment_id: str) -> list[Run]:
        own = f"tags.`{CREATION}` = '{self.tags[CREATION]}'"
        return list(self._client.search_runs([experiment_id], own, order_by=["attributes.start_time ASC"]))


def cut_name(name: str) -> str:
    """The name of a run, as far as MLflow has room for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def experiment_id(client: MlflowClient, name: str) -> str:
    """Of an experiment, made if it is not there.

    Raises:
        TrackingError: its name is too long, it is deleted, or its artifacts cannot be written from here.
    """
    if len(name) > LONGEST_EXPERIMENT:
        raise TrackingError(
            f"the experiment {name[:40]!r}... has a name of {len(name)} characters, the limit is {LONGEST_EXPERIMENT}; "
            "name another with --experiment-name"
        )
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, _own_location(client.tracking_uri), tags=AS_MODEL_TRAINING))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)  # another process made it just now
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"the experiment {name!r} is deleted; restore it (mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}) or name another with --experiment-name"
        )
    check_location(client.tracking_uri, experiment.artifact_location)
    return str(experiment.experiment_id)


def _own_location(tracking_uri: str) -> str | None:
    """Where artifacts are to lie, if MLflow's own choice would be another folder than the one that it means.

    Beside a database it names a folder below this one, and reads the name as an address: ``50%20off`` as ``50 off``.
    """
    here = Path.cwd()
    if tracking_uri.startswith("http") or local_folder(str(here)) == here:
        return None
    return folder_address(here / "mlruns" / uuid.uuid4().hex)


def wait_out(
    action: Callable[[], T],
    seconds: float,
    *,
    on: type[TrackingError] = TrackingError,
    say: Callable[[str], None] = lambda line: None,
) -> T:
    """Do something that needs the server, again and again while it raises ``on``, for at most so many seconds.

    What no waiting changes is raised at once.

    Raises:
        TrackingError: the last one.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        if state.attempt_number == 2:  # one lost connection is no news
            error = state.outcome.exception() if state.outcome else None
            say(f"waiting for the tracking server: {error}")

    waiting = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, on) and not isinstance(error, LASTING)),
        wait=tenacity.wait_exponential(multiplier=0.5, max=15),
        stop=tenacity.stop_after_delay(seconds),
        before_sleep=tell,
        reraise=True,
    )
    return waiting(action)
