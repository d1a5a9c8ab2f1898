"""The list of runs, newest first."""

from dataclasses import dataclass
from datetime import datetime

from mlflow import MlflowClient

from kmnist import record
from kmnist.errors import SettingError
from kmnist.record import TrackedRun
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.read import all_experiments, read_run, search_all

NEWEST = ["attributes.start_time DESC"]
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
    with tracking_errors("runs cannot be listed"):
        for entity in search_all(client, list(experiments), query, NEWEST):
            run, started_ms = read_run(entity), entity.info.start_time
            if below or run.tags.get(record.KIND) not in BELOW:
                started = datetime.fromtimestamp(started_ms / 1000) if started_ms else None
                found.append(ListedRun(run, experiments[entity.info.experiment_id], started))
            if len(found) == most:
                break
    return found


def _experiments(client: MlflowClient, name: str | None = None) -> dict[str, str]:
    """Names of the active experiments by id; of one experiment if it is named."""
    with tracking_errors("experiments cannot be listed"):
        there = {str(found.experiment_id): str(found.name) for found in all_experiments(client)}
    if name is None:
        return there
    chosen = {key: found for key, found in there.items() if found == name}
    if not chosen:
        names = ", ".join(there.values())
        raise SettingError(f"--experiment-name {name}: there is no such experiment; there are: {names}")
    return chosen
