"""A run with runs below it, all found again by their tags: how a study and its trials are kept."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from kmnist import record
from kmnist.durable import is_held
from kmnist.tracking.connect import ServerAway, tracking_errors
from kmnist.tracking.creation import START_SECONDS, Creation, create_run, wait_out
from kmnist.tracking.journal import LOCK
from kmnist.tracking.run import MlflowRun

OUTAGE_SECONDS = 3600.0  # that a trial waits
FROM_AN_EPOCH = record.metric(record.TRAIN, "loss")  # a metric that a run has after its first epoch


def parent_run(
    client: MlflowClient, experiment_name: str, run_name: str, tags: Mapping[str, str], made: Run | None = None
) -> Run:
    """The run of an experiment that has ``tags``, or a new one; or ``made``, with them.

    Args:
        client: of the server.
        experiment_name: where to look, and to make it.
        run_name: of a new one.
        tags: by which it is found again.
        made: by ``mlflow run``, for this command.

    Raises:
        TrackingError: the experiment is deleted, or the server does not answer.
    """

    def find() -> Run | None:
        with tracking_errors(f"no run can be looked for in {experiment_name!r}"):
            experiment = client.get_experiment_by_name(experiment_name)
            ids = [] if experiment is None else [experiment.experiment_id]
            found = client.search_runs(ids, _having(tags), max_results=1) if ids else []
            return found[0] if found else None

    found = None if made else wait_out(find, START_SECONDS, on=ServerAway)
    return found or create_run(client, experiment_name, run_name, tags, made=made)


class ChildRuns:
    """Makes runs below ``parent_id``. Each writes to a folder of its own in ``work_dir``.

    Args:
        client: of the server that has the parent.
        parent_id: the run that they are shown under in the UI.
        work_dir: for checkpoints and journals.
        checkpoint: name of the file in a run's folder without which the run cannot be gone on with.
        about: tags of the user's, which each of them gets.
        say: told when the server is away and waited for.
    """

    def __init__(
        self,
        client: MlflowClient,
        parent_id: str,
        work_dir: Path,
        checkpoint: str,
        about: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._client, self._parent_id, self._work_dir, self._checkpoint = client, parent_id, work_dir, checkpoint
        self._about, self._say = about, say

    def __call__(self, name: str, tags: Mapping[str, str], again: bool) -> MlflowRun:
        """A new run; with ``again``, the last one that has these tags, if there is one.

        A run that was begun on another machine has its checkpoint there, and one whose process is merely stopped has
        its folder: it ends as KILLED, and a new one begins. Its process may be cut off only, and go on writing to it.
        A server that is away is waited for: what is logged to a run can wait on disk, but the run itself is the
        server's to make.

        Raises:
            TrackingError: the server has been away for too long, or the parent is not there.
        """
        all_tags = {**tags, MLFLOW_PARENT_RUN_ID: self._parent_id}
        creation = Creation(self._client, name, all_tags)

        def attempt() -> Run:
            with tracking_errors(f"no run can be made below {self._parent_id}"):
                experiment_id = self._client.get_run(self._parent_id).info.experiment_id
                earlier = self._earlier(experiment_id, all_tags) if again and not creation.tried else None
                return earlier or creation(experiment_id)

        entity = wait_out(attempt, OUTAGE_SECONDS, say=self._say)
        run = MlflowRun(self._client, entity, self._folder(entity))
        run.log_environment()
        run.describe(self._about)
        return run

    def _earlier(self, experiment_id: str, tags: Mapping[str, str]) -> Run | None:
        """The last run that has these tags, if it can be gone on with here; else it is ended."""
        newest = ["attributes.start_time DESC"]
        found = self._client.search_runs([experiment_id], _having(tags), order_by=newest, max_results=1)
        if not found:
            return None
        entity: Run = found[0]
        folder = self._folder(entity)
        silent, begun = folder.exists() and is_held(folder / LOCK), FROM_AN_EPOCH in entity.data.metrics
        if folder.exists() and not silent and ((folder / self._checkpoint).exists() or not begun):
            return entity
        reason = (
            "its process gives no sign of life; begun again" if silent else "its process died; begun again elsewhere"
        )
        self._client.set_tag(entity.info.run_id, record.END_REASON, reason)
        self._client.set_terminated(entity.info.run_id, "KILLED")
        return None

    def _folder(self, entity: Run) -> Path:
        return self._work_dir / str(entity.info.run_id)


def _having(tags: Mapping[str, str]) -> str:
    return " AND ".join(f"tags.`{tag}` = '{text}'" for tag, text in tags.items())
