"""What MLflow has, all there is of it, page by page; and a run as typed values."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Experiment, LoggedModel, Run, ViewType
from mlflow.store.entities.paged_list import PagedList

from kmnist.errors import TrackingError
from kmnist.record import SHORTEST_ID, TrackedRun
from kmnist.tracking.connect import tracking_errors

T = TypeVar("T")
PAGE = 1000
SHORT_ID = re.compile(f"[0-9a-f]{{{SHORTEST_ID},31}}")  # the beginning of a run's id


def search_all(
    client: MlflowClient, experiment_ids: Sequence[str], query: str = "", order_by: Sequence[str] = ()
) -> Iterator[Run]:
    """All runs of some experiments that a query of MLflow's finds, page by page; not those that were deleted."""
    if experiment_ids:
        yield from _pages(
            lambda token: client.search_runs(
                list(experiment_ids), query, max_results=PAGE, order_by=list(order_by), page_token=token
            )
        )


def search_all_models(client: MlflowClient, experiment_id: str, metric: str) -> Iterator[LoggedModel]:
    """All logged models of an experiment, page by page: those with the most of a metric first, as it is now.

    A filter of MLflow's would look at every point that was ever logged of the metric, not at the latest.
    """
    best_first = [{"field_name": f"metrics.{metric}", "ascending": False}]
    yield from _pages(lambda token: client.search_logged_models([experiment_id], order_by=best_first, page_token=token))


def all_experiments(client: MlflowClient) -> list[Experiment]:
    """Every experiment that is not deleted."""
    return list(_pages(lambda token: client.search_experiments(max_results=PAGE, page_token=token)))


def _pages(fetch: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    token = None
    while True:
        page = fetch(token)
        yield from page
        if not (token := page.token):
            return


def runs_by_id(client: MlflowClient, ids: Sequence[str]) -> list[Run]:
    """Runs by their ids, or the beginnings of these.

    Raises:
        TrackingError: there is none of that id, or the server does not answer.
    """
    found = []
    for run_id in dict.fromkeys(full_run_id(client, text) for text in ids):
        with tracking_errors(f"run {run_id} cannot be read", "is that where it was tracked to? (--tracking-uri)"):
            found.append(client.get_run(run_id))
    return found


def full_run_id(client: MlflowClient, text: str) -> str:
    """The id of the one run whose id begins with ``text``. What is no beginning of an id is given back as it is.

    Raises:
        TrackingError: no run's id begins so, or several do; or the server does not answer.
    """
    if not SHORT_ID.fullmatch(text):
        return text
    with tracking_errors("runs cannot be searched"):
        ids = [found.experiment_id for found in all_experiments(client)]
        found = client.search_runs(ids, f"attributes.run_id LIKE '{text}%'", ViewType.ALL, max_results=5)
    if not found:
        raise TrackingError(f"no run's id begins with {text}; kmnist runs list shows the newest (--tracking-uri)")
    if len(found) > 1:
        there = ", ".join(run.info.run_id for run in found)
        raise TrackingError(f"the ids of several runs begin with {text}: {there}; type more of it")
    return str(found[0].info.run_id)


def read_run(run: Run) -> TrackedRun:
    """What MLflow tells of a run."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return TrackedRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
        digests={found.tags[0].value: found.dataset.digest for found in inputs if found.tags},
    )
