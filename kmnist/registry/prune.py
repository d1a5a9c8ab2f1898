"""What runs hold that nobody needs any more: models, images and checkpoints of those that are nobody's best."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from kmnist import record
from kmnist.checkpoint import FILE_NAME
from kmnist.errors import SettingError
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.creation import CREATION
from kmnist.tracking.journal import LOCK, unsent_bytes
from kmnist.tracking.read import read_run, search_all

IMAGES = "images"  # the folder of the series that MLflow shows with a slider
BEST = record.metric(record.BEST, "valid_accuracy")
ENSEMBLE = "ensemble."  # begins the tags of an ensemble and of its members


@dataclass(frozen=True)
class Prunable:
    """What would be freed of a run.

    Attributes:
        run: that has ended, and is nobody's best.
        models: its logged models.
        model_bytes: of their files.
        image_bytes: of its series of images.
        checkpoint: its folder on this machine; ``None``: there is none, or something in it waits to be sent.
        checkpoint_bytes: of the folder.
    """

    run: Run
    models: list[LoggedModel]
    model_bytes: int
    image_bytes: int
    checkpoint: Path | None
    checkpoint_bytes: int

    @property
    def total_bytes(self) -> int:
        """Of all of it."""
        return self.model_bytes + self.image_bytes + self.checkpoint_bytes


def find_prunable(client: MlflowClient, work_dir: Path, experiment: str | None = None) -> Iterator[Prunable]:
    """The runs of ours that have something which nobody needs.

    Kept are runs that have not ended; that a version of a registered model is from; that are the best of their
    experiment and data set on validation, the best of a study or offered by its confirmation; that are an ensemble or
    a member of one; and those with the tag ``keep``, whatever it says but ``false``.

    Args:
        client: of the server.
        work_dir: for checkpoints.
        experiment: the name of the only one to look at.

    Raises:
        SettingError: there is no such experiment.
        TrackingError: the server does not answer.
    """
    with tracking_errors("the runs cannot be looked through"):
        experiments = client.search_experiments()
        if experiment is not None and experiment not in (there := [found.name for found in experiments]):
            raise SettingError(f"experiment={experiment}: there is none of that name; there are: {', '.join(there)}")
        chosen = [found.experiment_id for found in experiments if experiment in (None, found.name)]
        runs = list(search_all(client, chosen))
        registered = {version.run_id for version in client.search_model_versions()}
    kept = registered | _best(runs)
    for run in runs:
        if run.info.run_id not in kept and not _is_kept(run):
            found = _look_at(client, run, work_dir)
            if found.models or found.total_bytes:
                yield found


def prune(client: MlflowClient, found: Sequence[Prunable]) -> Iterator[Prunable]:
    """Delete what was found; numbers, tags, figures and tables of the runs stay. Not to be undone.

    Yields:
        Each when it is done.

    Raises:
        TrackingError: the server does not answer, or does not let its files be deleted.
    """
    for one in found:
        run = one.run
        with tracking_errors(f"run {run.info.run_id} cannot be pruned", "what was deleted so far stays so"):
            client.set_tag(run.info.run_id, record.PRUNED, f"{one.total_bytes:,} bytes of models, images, checkpoint")
            for model in one.models:
                _files(client, model.artifact_location).delete_artifacts()
                client.delete_logged_model(model.model_id)
            if one.image_bytes:
                _files(client, run.info.artifact_uri).delete_artifacts(IMAGES)
        if one.checkpoint:
            try:
                with FileLock(one.checkpoint / LOCK, timeout=0):
                    shutil.rmtree(one.checkpoint)
            except Timeout:  # somebody has just gone on with it
                continue
        yield one


def _best(runs: Sequence[Run]) -> set[str]:
    """Of each experiment and data set, the run with the best validation; and what studies say of theirs."""
    best: dict[tuple[str, str], Run] = {}
    for run in runs:
        place = (run.info.experiment_id, read_run(run).dataset)
        if place not in best or _validation(run) > _validation(best[place]):
            best[place] = run
    named = {
        tags[tag] for run in runs for tag in (record.BEST_RUN, record.OFFERED_RUN) if tag in (tags := run.data.tags)
    }
    return {run.info.run_id for run in best.values()} | named


def _validation(run: Run) -> float:
    """The best epoch's accuracy; of runs from before it was logged, the last one's."""
    return float(run.data.metrics.get(BEST, run.data.metrics.get(record.metric(record.VALID, "accuracy"), -1.0)))


def _is_kept(run: Run) -> bool:
    tags = run.data.tags
    return (
        CREATION not in tags  # not of ours
        or run.info.status == "RUNNING"
        or tags.get(record.KEEP, "false").lower() != "false"
        or any(key.startswith(ENSEMBLE) for key in tags)
        or "true" in (tags.get(record.BEST_OF_STUDY), tags.get(record.OFFERED))
    )


def _look_at(client: MlflowClient, run: Run, work_dir: Path) -> Prunable:
    run_id = run.info.run_id
    with tracking_errors(f"the files of run {run_id} cannot be looked at"):
        query = f"source_run_id = '{run_id}'"
        models = list(client.search_logged_models([run.info.experiment_id], query))
        model_bytes = sum(_size(_files(client, model.artifact_location)) for model in models)
        image_bytes = _size(_files(client, run.info.artifact_uri), IMAGES)
    folder = work_dir / run_id
    there = (folder / FILE_NAME).exists() and not unsent_bytes(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if there else 0
    return Prunable(run, models, model_bytes, image_bytes, folder if there else None, size)


def _files(client: MlflowClient, place: str) -> ArtifactRepository:
    return get_artifact_repository(place, tracking_uri=client.tracking_uri)


def _size(files: ArtifactRepository, folder: str | None = None) -> int:
    found = files.list_artifacts(folder)
    return sum(_size(files, file.path) if file.is_dir else file.file_size or 0 for file in found)
