"""What a report reads of runs: their last numbers, their curves, and the tables that they have left."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from kmnist import record
from kmnist.errors import SettingError, in_one_line
from kmnist.report.source import CURVES, FILES, Source
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.read import all_experiments, read_run, runs_by_id, search_all

KIND = f"tags.`{record.KIND}`"
NO_TRAININGS = {record.KIND_STUDY, record.KIND_TRIAL, record.KIND_EVALUATION, record.KIND_REPORT}
MOST_BYTES = 50_000_000  # of an artifact that is read


def runs_of_experiment(client: MlflowClient, name: str) -> list[Run]:
    """All runs of an experiment, the newest first; not studies, their trials, evaluations and reports.

    Raises:
        SettingError: there is no such experiment.
        TrackingError: the server does not answer.
    """
    with tracking_errors(f"experiment {name!r} cannot be read"):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            there = ", ".join(found.name for found in client.search_experiments(max_results=20))
            raise SettingError(f"experiment={name}: there is none of that name; there are: {there}")
        ids, others = [experiment.experiment_id], " AND ".join(f"{KIND} != '{kind}'" for kind in sorted(NO_TRAININGS))
        try:  # a study may have thousands of trials: the server leaves them out
            found = [*search_all(client, ids, f"{KIND} IS NULL"), *search_all(client, ids, others)]
        except MlflowException as error:
            if error.get_http_status_code() != 400:  # an older server does not know IS NULL
                raise
            found = [run for run in search_all(client, ids) if run.data.tags.get(record.KIND) not in NO_TRAININGS]
    return sorted(found, key=lambda run: -(run.info.start_time or 0))


def runs_of_study(client: MlflowClient, name: str) -> tuple[Run, list[Run]]:
    """The run of a study, and those that tell what it came to: its confirmations, or else its best trial.

    Raises:
        SettingError: there is no such study.
        TrackingError: the server does not answer.
    """
    if "'" in name:
        raise SettingError(f"study={name}: no study has a quote in its name")
    with tracking_errors(f"study {name!r} cannot be read"):
        ids = [experiment.experiment_id for experiment in all_experiments(client)]
        newest = ["attributes.start_time DESC"]

        def find(tags: str) -> list[Run]:
            return list(search_all(client, ids, f"tags.{record.STUDY} = '{name}' AND {tags}", newest))

        studies = find(f"tags.{record.KIND} = '{record.KIND_STUDY}'")
        if not studies:
            raise SettingError(f"study={name}: no run has tracked one of that name; kmnist studies lists them")
        confirmed = find(f"tags.{record.KIND} = '{record.KIND_CONFIRMATION}'")
        return studies[0], confirmed or find(f"tags.`{record.BEST_OF_STUDY}` = 'true'")


def runs_of_ensemble(client: MlflowClient, run_id: str) -> list[Run]:
    """An ensemble's run, and those of its members.

    Raises:
        SettingError: it is no ensemble.
        TrackingError: one of them is not there, or the server does not answer.
    """
    [found] = runs_by_id(client, [run_id])
    members = found.data.tags.get(record.MEMBERS)
    if not members:
        raise SettingError(f"ensemble={run_id}: that run has no members; kmnist ensemble makes one that has")
    return [found, *runs_by_id(client, members.split(","))]


def collect(client: MlflowClient, run: Run) -> Source:
    """A run with its curves and tables; what cannot be read is a line in its ``problems``.

    Raises:
        TrackingError: the server does not answer.
    """
    curves, problems = {}, []
    with tracking_errors(f"the metrics of run {run.info.run_id} cannot be read"):
        for name in sorted(run.data.metrics):
            if name.startswith(tuple(f"{split}/" for split in CURVES)):
                history = client.get_metric_history(run.info.run_id, name)
                curves[name] = {
                    point.step: point.value for point in sorted(history, key=lambda at: (at.step, at.timestamp))
                }
    files: dict[str, bytes] = {}
    try:
        with TemporaryDirectory() as folder:
            for path in _artifacts(client, run.info.run_id):
                files[path] = Path(client.download_artifacts(run.info.run_id, path, folder)).read_bytes()
    except Exception as error:  # of any store of artifacts: files, HTTP, S3, ...
        problems.append(f"its artifacts cannot be read ({in_one_line(error)[:200]})")
    return Source(
        run=read_run(run),
        started_ms=run.info.start_time or 0,
        ended_ms=run.info.end_time,
        curves=curves,
        files=files,
        problems=problems,
    )


def _artifacts(client: MlflowClient, run_id: str) -> list[str]:
    """Those that a report reads and the run has."""
    folders = sorted({path.rpartition("/")[0] for path in FILES})
    found = (file for folder in folders for file in client.list_artifacts(run_id, folder or None))
    return [file.path for file in found if file.path in FILES and (file.file_size or 0) <= MOST_BYTES]
