"""Reaching the tracking server: everything that can be wrong with it is said here, before a training starts."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run, RunStatus
from mlflow.environment_variables import MLFLOW_REGISTRY_URI
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from packaging.version import Version
from sqlalchemy.exc import DBAPIError

from kmnist.addresses import redact
from kmnist.config import TrainConfig
from kmnist.environment import set_environment
from kmnist.errors import KmnistError, SettingError, TrackingError, root_cause
from kmnist.tracking.causes import AWAY, way_out_of
from kmnist.tracking.database import is_database, prepare_database
from kmnist.tracking.places import check_place

#: What they say about a database: each table that is made, and a traceback for each error that is raised anyway.
LOGGERS = {"alembic": logging.WARNING, "mlflow.store.db.utils": logging.CRITICAL}
WAY_OUT = AWAY
OLDEST_SERVER = 3  # the first major version that has logged models


class ServerAway(TrackingError):
    """The server does not answer, or not now: what failed may succeed later."""


@contextmanager
def tracking_errors(what: str, way_out: str = "try again later") -> Iterator[None]:
    """Whatever a server answers within the block, or a connection comes to, is told as a ``TrackingError`` of a line.

    Args:
        what: cannot be done, as the beginning of a sentence.
        way_out: what to do about it, if the error is of no kind that has one of its own.

    Raises:
        ServerAway: the server does not answer, or not now.
        TrackingError: it refuses.
    """
    try:
        yield
    except KmnistError:
        raise
    except Exception as error:  # it comes in any of MLflow's, requests', SQLAlchemy's and protobuf's ways
        status = error.get_http_status_code() if isinstance(error, MlflowException) else 500
        kind = ServerAway if status >= 500 or status in (408, 429) else TrackingError
        told = way_out_of(f"{error} {root_cause(error)}") or way_out
        raise kind(f"{what}: {reason_of(error)}. {told[0].upper()}{told[1:]}") from error


def connect(tracking_uri: str | None = None, *, make: bool = True) -> MlflowClient:
    """A client whose server answered just now.

    Args:
        tracking_uri: where to track; ``None`` is MLflow's own choice: ``MLFLOW_TRACKING_URI``, else
            ``sqlite:///mlflow.db``.
        make: make a database file that is not there; not for commands that only read.

    Raises:
        TrackingError: the server does not answer, or refuses us; or there is no such file.
    """
    configure_mlflow()
    uri = tracking_uri or mlflow.get_tracking_uri()
    with tracking_errors(f"the tracking server {redact(uri)} cannot be used", WAY_OUT):
        client = open_client(uri, make=make)
        if uri.startswith("http"):
            _check_server(uri)
        client.search_experiments(max_results=1)
    return client


def open_client(tracking_uri: str | None = None, *, make: bool = True) -> MlflowClient:
    """A client whose server was not asked yet, and whose database can be opened as it is.

    Args:
        tracking_uri: as :func:`connect` has it.
        make: as :func:`connect` has it.

    Raises:
        TrackingError: the database is another program's, or of another MLflow; it was not changed.
        SQLAlchemyError, OSError: it cannot be opened.
    """
    uri = tracking_uri or mlflow.get_tracking_uri()
    for address in dict.fromkeys((uri, MLFLOW_REGISTRY_URI.get() or uri)):
        if is_database(address):
            prepare_database(address, make=make)
    return MlflowClient(uri)


def _check_server(uri: str) -> None:
    """See that requests get to a server, and that it is one that has all that we use.

    Raises:
        TrackingError: it sends them elsewhere, where they would not arrive as what they were, or it is too old.
    """
    answer = http_request(
        get_default_host_creds(uri), "/version", "GET", max_retries=0, raise_on_status=False, allow_redirects=False
    )
    what = f"the tracking server {redact(uri)} cannot be used"
    if answer.is_redirect:
        raise TrackingError(
            f"{what}: it sends requests on to {redact(answer.headers['Location'])[:200]}. If that is where MLflow is, "
            "name it with --tracking-uri; if it is a page to log in at, let requests of programs through, or give them "
            "what it asks for (MLFLOW_TRACKING_TOKEN)"
        )
    if re.fullmatch(r"\d+\.\d+[\w.+-]*", found := answer.text.strip()) and Version(found).major < OLDEST_SERVER:
        raise TrackingError(
            f"{what}: it runs MLflow {found}, which has no logged models; kmnist needs a server of MLflow "
            f"{OLDEST_SERVER}.0 or newer (here is {mlflow.__version__}). Upgrade the server, or track elsewhere: "
            "--tracking-uri sqlite:///mlflow.db"
        )


def configure_mlflow() -> None:
    """Set what MLflow is told through the environment and through loggers only."""
    set_environment()
    for name, level in LOGGERS.items():
        logging.getLogger(name).setLevel(level)


def reopen_run(client: MlflowClient, run_id: str, finished_too: bool = False) -> Run:
    """A run that did not finish; with ``finished_too``, any.

    Raises:
        TrackingError: there is no such run on this server, it has finished, or its artifacts would not be where they
            are looked for.
    """
    what = f"run {run_id} cannot be resumed on {redact(client.tracking_uri)}"
    with tracking_errors(what, "is that where the run was tracked to? (--tracking-uri)"):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage != "active":  # MLflow gives it, and takes nothing for it
        raise TrackingError(f"run {run_id} is deleted; to have it back: mlflow runs restore --run-id {run_id}")
    if run.info.status == RunStatus.to_string(RunStatus.FINISHED) and not finished_too:
        raise TrackingError(f"run {run_id} has FINISHED: there is nothing to resume; start another for more epochs")
    with tracking_errors(what):
        check_place(client, run)
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
    """The page of a run within the UI: good as a link from another page of it.

    Without the workflow's type a browser that has not been there before is shown pages for language models.
    """
    return f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def run_url(client: MlflowClient, run: Run) -> str:
    """The page of a run, for which a browser asks for a password itself, or how to get one where there is no server."""
    page = f"/{run_page(run.info.experiment_id, run.info.run_id)}"
    uri: str = client.tracking_uri
    if uri.startswith("http"):
        parts = urlsplit(uri)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/") + page
    return f"to look at it: mlflow ui --backend-store-uri {redact(uri)}, then http://127.0.0.1:5000{page}"


def _same(config: TrainConfig, name: str, text: str) -> bool:
    try:
        return TrainConfig.parse({**config.as_text(), name: text}) == config
    except SettingError:
        return False


def reason_of(error: Exception) -> str:
    """What an error comes down to, in a line."""
    cause = root_cause(error)
    if isinstance(error.__cause__, DBAPIError):  # which says first what it was about to do
        told = error.__cause__.orig or error
    else:
        told = cause if isinstance(cause, OSError) else error
    return redact((str(told).strip() or type(told).__name__).splitlines()[0])[:300]
