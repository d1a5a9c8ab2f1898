"""Runs of MLflow's, all there are, and one as typed values."""

from collections.abc import Iterator, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist.record import TrackedRun
from kmnist.tracking.connect import tracking_errors

PAGE = 1000


def search_all(client: MlflowClient, experiment_ids: Sequence[str], query: str = "") -> Iterator[Run]:
    """All runs of some experiments that a query of MLflow's finds, page by page."""
    token = None
    while experiment_ids:
        page = client.search_runs(list(experiment_ids), query, max_results=PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def runs_by_id(client: MlflowClient, ids: Sequence[str]) -> list[Run]:
    """Runs by their ids.

    Raises:
        TrackingError: there is none of that id, or the server does not answer.
    """
    found = []
    for run_id in dict.fromkeys(ids):
        with tracking_errors(f"run {run_id} cannot be read", "is that where it was tracked to? (--tracking-uri)"):
            found.append(client.get_run(run_id))
    return found


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
