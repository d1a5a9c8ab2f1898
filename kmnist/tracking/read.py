"""What MLflow has, all there is of it, page by page; and a run as typed values."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Experiment, LoggedModel, Run
from mlflow.store.entities.paged_list import PagedList

from kmnist.record import TrackedRun

T = TypeVar("T")
PAGE = 1000


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
