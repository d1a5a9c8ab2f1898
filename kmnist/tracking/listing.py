"""The list of runs, newest first; and the whole id of a run from its beginning."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient
from mlflow.entities import ViewType

from kmnist import record
from kmnist.errors import SettingError, TrackingError
from kmnist.record import TrackedRun
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.read import read_run

SHORT_ID = re.compile("[0-9a-f]{4,31}")
NEWEST = ["attributes.start_time DESC"]
PAGE = 100
#: Runs that others stand for: a study's trials, and the runs that confirm its best settings.
BELOW = (record.KIND_TRIAL, record.KIND_CONFIRMATION)


@dataclass(frozen=True)
class ListedRun:
    """A line of ``kmnist runs list``.

    Attributes:
        run: as it was read.
        experiment: name of its experiment.
        started: when, in local time; ``None`` if the server does not say.
    """

    run: TrackedRun
    experiment: str
    started: datetime | None

    @property
    def settings(self) -> str:
        """The settings that are not the defaults, as typed: ``arch=cnn epochs=3``."""
        config = self.run.config
        changed = config.changed() if config and "arch" in self.run.params else {}
        return " ".join(f"{name}={text}" for name, text in changed.items() if name != "dataset")


def list_runs(
    client: MlflowClient,
    *,
    most: int,
    experiment_name: str | None = None,
    dataset: str | None = None,
    arch: str | None = None,
    status: str | None = None,
    below: bool = False,
) -> list[ListedRun]:
    """The newest ``most`` runs that match every filter that is given.

    Args:
        below: list a study's trials and confirmations too, not only the study.

    Raises:
        SettingError: there is no such experiment, or a filter holds a quote.
        TrackingError: the server does not answer.
    """
    filters = {f"tags.{record.DATASET}": dataset, "params.arch": arch, "attributes.status": status}
    for value in filters.values():
        if value and "'" in value:
            raise SettingError(f"{value}: must not hold a quote")
    query = " AND ".join(f"{key} = '{value}'" for key, value in filters.items() if value)
    experiments = _experiments(client, experiment_name)
    found: list[ListedRun] = []
    for run, started_ms, experiment_id in _search(client, list(experiments), query):
        if below or run.tags.get(record.KIND) not in BELOW:
            started = datetime.fromtimestamp(started_ms / 1000) if started_ms else None
            found.append(ListedRun(run, experiments[experiment_id], started))
        if len(found) == most:
            break
    return found


def full_run_id(client: MlflowClient, text: str) -> str:
    """The id of the one run whose id begins with ``text``. What is no beginning of an id is given back as it is.

    Raises:
        TrackingError: no run's id begins so, or several do; or the server does not answer.
    """
    if not SHORT_ID.fullmatch(text):
        return text
    with tracking_errors("runs cannot be searched"):
        ids = list(_experiments(client))
        found = client.search_runs(ids, f"attributes.run_id LIKE '{text}%'", ViewType.ALL, max_results=5)
    if not found:
        raise TrackingError(f"no run's id begins with {text}; kmnist runs list shows the newest (--tracking-uri)")
    if len(found) > 1:
        there = ", ".join(run.info.run_id for run in found)
        raise TrackingError(f"the ids of several runs begin with {text}: {there}; type more of it")
    return str(found[0].info.run_id)


def _experiments(client: MlflowClient, name: str | None = None) -> dict[str, str]:
    """Names of the active experiments by id; of one experiment if it is named."""
    with tracking_errors("experiments cannot be listed"):
        there: dict[str, str] = {}
        token = None
        while True:
            page = client.search_experiments(page_token=token)
            there |= {str(found.experiment_id): str(found.name) for found in page}
            if not (token := page.token):
                break
    if name is None:
        return there
    chosen = {key: found for key, found in there.items() if found == name}
    if not chosen:
        raise SettingError(
            f"--experiment-name {name}: there is no such experiment; there are: {', '.join(there.values())}"
        )
    return chosen


def _search(client: MlflowClient, ids: Sequence[str], query: str) -> Iterator[tuple[TrackedRun, int, str]]:
    token = None
    while ids:
        with tracking_errors("runs cannot be listed"):
            page = client.search_runs(list(ids), query, order_by=NEWEST, max_results=PAGE, page_token=token)
        for run in page:
            yield read_run(run), run.info.start_time or 0, run.info.experiment_id
        if not (token := page.token):
            return
