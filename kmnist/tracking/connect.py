"""Reaching the tracking server: everything that can be wrong with it is said here, before a training starts."""

import logging
import os
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from kmnist.addresses import redact
from kmnist.config import TrainConfig
from kmnist.errors import SettingError, TrackingError, root_cause
from kmnist.tracking.heartbeat import heartbeat

# It announces each table that it makes.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)
# MLflow's own retries would let one call on a dead server block for minutes; the journal does the waiting instead.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# Its bars would be drawn across ours.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# Its client prints where a run is when it ends one; we print that ourselves, and nothing with --quiet.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

#: Lets the UI open an experiment of ours with its charts, not with its pages for language models.
AS_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
WAY_OUT = (
    "Start the server, name another with --tracking-uri or MLFLOW_TRACKING_URI, "
    "or track into a local file: --tracking-uri sqlite:///mlflow.db"
)


def connect(tracking_uri: str | None = None) -> MlflowClient:
    """A client whose server answered just now.

    Args:
        tracking_uri: where to track; ``None`` is MLflow's own choice: ``MLFLOW_TRACKING_URI``, else
            ``sqlite:///mlflow.db``.

    Raises:
        TrackingError: the server does not answer, or refuses us.
    """
    uri = tracking_uri or mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except Exception as error:  # a URI can fail in any of MLflow's, requests' and SQLAlchemy's ways
        raise TrackingError(
            f"the tracking server {redact(uri)} cannot be used: {reason_of(error)}. {WAY_OUT}"
        ) from error
    return client


def create_run(client: MlflowClient, experiment_name: str, run_name: str, tags: Mapping[str, str] | None = None) -> Run:
    """A new RUNNING run, or the one that ``mlflow run`` made for us (``MLFLOW_RUN_ID``), with its name and ``tags``.

    Raises:
        TrackingError: the experiment is deleted, or the run cannot be made.
    """
    try:
        if run_id := os.environ.get("MLFLOW_RUN_ID"):
            for tag, text in {MLFLOW_RUN_NAME: run_name, **(tags or {})}.items():
                client.set_tag(run_id, tag, text)
            return client.get_run(run_id)
        now = time.time_ns() // 1_000_000
        return client.create_run(
            _experiment_id(client, experiment_name), now, {**resolve_tags(), **heartbeat(), **(tags or {})}, run_name
        )
    except MlflowException as error:
        raise TrackingError(f"no run can be made in {experiment_name!r}: {reason_of(error)}. {WAY_OUT}") from error


def reopen_run(client: MlflowClient, run_id: str, finished_too: bool = False) -> Run:
    """A run that did not finish; with ``finished_too``, any.

    Raises:
        TrackingError: there is no such run on this server, or it has finished.
    """
    try:
        run = client.get_run(run_id)
        if run.info.status == RunStatus.to_string(RunStatus.FINISHED) and not finished_too:
            raise TrackingError(f"run {run_id} has FINISHED: there is nothing to resume; start another for more epochs")
    except MlflowException as error:
        raise TrackingError(
            f"run {run_id} cannot be resumed on {redact(client.tracking_uri)}: {reason_of(error)}. "
            "Is that where the run was tracked to? (--tracking-uri)"
        ) from error
    return run


def check_params(run: Run, config: TrainConfig) -> None:
    """See that the settings which the run has as parameters are those of ``config``.

    MLflow's parameters are immutable text, and ``mlflow run`` logs what the user typed before we start. So they are
    compared by value: ``1e-3`` is 0.001.

    Raises:
        TrackingError: the run has a setting with another value.
    """
    wanted, there = config.as_text(), run.data.params
    differing = [
        f"{name}: {there[name]} there, {text} here"
        for name, text in wanted.items()
        if name in there and not _same(config, name, there[name])
    ]
    if differing:
        raise TrackingError(
            f"run {run.info.run_id} was started with other settings ({'; '.join(differing)}), and MLflow's "
            "parameters cannot be changed; start a new run"
        )


def run_page(experiment_id: str, run_id: str) -> str:
    """The page of a run within the UI: good as a link from another page of it."""
    return f"#/experiments/{experiment_id}/runs/{run_id}"


def run_url(client: MlflowClient, run: Run) -> str:
    """The page of a run, for which a browser asks for a password itself, or how to get one where there is no server."""
    page = f"/{run_page(run.info.experiment_id, run.info.run_id)}"
    uri: str = client.tracking_uri
    if uri.startswith("http"):
        parts = urlsplit(uri)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/") + page
    return f"to look at it: mlflow ui --backend-store-uri {redact(uri)}, then http://127.0.0.1:5000{page}"


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, tags=AS_MODEL_TRAINING))
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
    return str(experiment.experiment_id)


def _same(config: TrainConfig, name: str, text: str) -> bool:
    try:
        return TrainConfig.parse({**config.as_text(), name: text}) == config
    except SettingError:
        return False


def reason_of(error: Exception) -> str:
    """What an error comes down to, in a line, with what a wrong password or host needs added."""
    cause = root_cause(error)
    told = cause if isinstance(cause, OSError) else error
    line = redact((str(told).strip() or type(told).__name__).splitlines()[0])[:300]
    if "401" in line or "credentials" in line.lower():
        return f"{line}; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if "403" in line and "host" in line.lower():
        return f"{line}; the server must be started with this host among its --allowed-hosts"
    return line
