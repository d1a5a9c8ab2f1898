"""Runs in a file, to be carried from one store to another: a journal for each, and ``runs.json``.

A run becomes the journal that it would have if no server had taken anything of it, so that ``sender`` carries it to
any other store: an outage, or a full disk, is that of a training.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModelStatus, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from mlflow.utils.rest_utils import http_request, verify_rest_response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from kmnist.addresses import local_folder
from kmnist.errors import TrackingError, in_one_line
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.creation import CREATION
from kmnist.tracking.journal import JOURNAL, Journal
from kmnist.tracking.publish import is_ours
from kmnist.tracking.read import runs_by_id

CONTENTS = "runs.json"
MOST_RUNS = 10_000
MOST_PARAMS, MOST_METRICS = 90, 20  # in a record; MLflow takes 100 and, of fifty records together, 1000
LIST = "/api/2.0/mlflow/artifacts/list"
#: Artifacts that an import takes.
CARRIED_NAME = re.compile(r"([^/\x00-\x1f]{1,250}/){0,8}[^/\x00-\x1f]{1,250}")
RunId = Field(pattern=r"^[A-Za-z0-9]{1,64}$")


class ArchivedRun(BaseModel):
    """What is known of a run before its journal is read.

    Attributes:
        id: where it was exported.
        experiment: the id of its experiment there.
        name: of the run.
        began_ms: Unix time in milliseconds.
        tags: all but its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = RunId
    experiment: str = Field(pattern=r"^[0-9]{1,30}$")
    name: str = Field(max_length=1000)
    began_ms: int = Field(ge=0, le=32_503_680_000_000)
    tags: dict[str, str]

    @property
    def parent(self) -> str | None:
        """The run that it is below."""
        return self.tags.get(MLFLOW_PARENT_RUN_ID)


ARCHIVED = TypeAdapter(list[ArchivedRun])


def export_runs(
    client: MlflowClient, ids: Sequence[str], file: Path, leave_out: Callable[[str], None] | None = None
) -> Iterator[ArchivedRun]:
    """Write runs, and all below them, to a file.

    Args:
        client: of the server that has them.
        ids: of the runs.
        file: a zip archive; it is there, whole, after the last one.
        leave_out: told of each artifact that cannot be read while the rest can: MLflow cuts or changes some names.
            ``None``: one such ends the export.

    Yields:
        Each when it is written.

    Raises:
        TrackingError: there is no such run, it has not ended, the server does not answer, or the file cannot be
            written.
    """
    runs = _with_children(client, runs_by_id(client, ids))
    if running := [run.info.run_id for run in runs if run.info.status == "RUNNING"]:
        raise TrackingError(f"run {running[0]} is RUNNING: it can be exported when it has ended")
    part = file.with_name(f"{file.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for run in runs:
                with TemporaryDirectory() as folder:
                    _write_journal(client, run, Path(folder), leave_out)
                    for path in sorted(Path(folder).rglob("*")):
                        if path.is_file() and (path.name == JOURNAL or "payloads" in path.parts):
                            archive.write(path, f"{run.info.run_id}/{path.relative_to(folder).as_posix()}")
                yield _about(run)
            archive.writestr(CONTENTS, ARCHIVED.dump_json([_about(run) for run in runs], indent=1))
        part.replace(file)
    except OSError as error:
        raise TrackingError(f"{file} cannot be written ({error}); name another file") from error
    finally:
        part.unlink(missing_ok=True)


def _about(run: Run) -> ArchivedRun:
    tags = {key: text for key, text in run.data.tags.items() if key not in (MLFLOW_RUN_NAME, CREATION)}
    info = run.info
    return ArchivedRun(
        id=info.run_id,
        experiment=info.experiment_id,
        name=info.run_name or "",
        began_ms=info.start_time or 0,
        tags=tags,
    )


def _with_children(client: MlflowClient, runs: Sequence[Run]) -> list[Run]:
    """Every run before those that are below it, and none twice."""
    found: dict[str, Run] = {}
    waiting = list(runs)
    with tracking_errors("the runs below cannot be looked for"):
        while waiting:
            run = waiting.pop(0)
            if run.info.run_id not in found:
                found[run.info.run_id] = run
                below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'"
                waiting += client.search_runs([run.info.experiment_id], below, max_results=MOST_RUNS)
    return list(found.values())


def _write_journal(client: MlflowClient, run: Run, folder: Path, leave_out: Callable[[str], None] | None) -> None:
    what = f"run {run.info.run_id} cannot be read whole"
    with tracking_errors(what), closing(Journal(folder)) as journal:
        for record in _records(client, run, journal, leave_out):
            journal.append(record)


def _records(
    client: MlflowClient, run: Run, journal: Journal, leave_out: Callable[[str], None] | None
) -> Iterator[dict[str, Any]]:
    run_id = run.info.run_id
    params = list(run.data.params.items())
    for first in range(0, len(params), MOST_PARAMS):
        yield {"op": "params", "params": dict(params[first : first + MOST_PARAMS])}
    for given in run.inputs.dataset_inputs if run.inputs else []:
        context = next((tag.value for tag in given.tags if tag.key == MLFLOW_DATASET_CONTEXT), "")
        yield {"op": "inputs", "context": context, "dataset": given.dataset.to_dictionary()}
    yield from _metrics(client, run)
    for path, size in _files(client, run):
        payload = journal.payloads.new(path.rpartition("/")[2])
        try:
            _fetch(client, run, path, size, payload)
        except Exception as error:
            client.get_run(run_id)  # or it is the server that does not answer
            if leave_out is None:
                raise
            leave_out(f"{run_id}: {path!r} is left out: {in_one_line(error)[:200]}")
            continue
        yield {"op": "file", "payload": journal.payloads.keep(payload), "folder": path.rpartition("/")[0]}
    yield from _models(client, run, journal)
    yield {"op": "status", "status": run.info.status, "timestamp_ms": run.info.end_time or run.info.start_time}


def _metrics(client: MlflowClient, run: Run) -> Iterator[dict[str, Any]]:
    points = [point for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)]
    points.sort(key=lambda point: (point.timestamp, point.step, point.key))
    for (timestamp, step), group in groupby(points, key=lambda point: (point.timestamp, point.step)):
        numbers = [(point.key, point.value) for point in group]
        for first in range(0, len(numbers), MOST_METRICS):
            some = dict(numbers[first : first + MOST_METRICS])
            yield {"op": "metrics", "metrics": some, "step": step, "timestamp_ms": timestamp}


def _files(client: MlflowClient, run: Run, folder: str | None = None) -> Iterator[tuple[str, int | None]]:
    """The paths of a run's artifacts, and their sizes in bytes; ``None``: a folder that cannot be looked into."""
    if here := _folder_here(run):  # MLflow itself cannot look into a folder that is called a#b
        for file in sorted(here.rglob("*")):
            if file.is_file() and not file.is_symlink():
                yield file.relative_to(here).as_posix(), file.stat().st_size
        return
    for path, size in _list(client, run, folder):
        if size is None:
            try:
                yield from list(_files(client, run, path))
            except MlflowException:
                client.get_run(run.info.run_id)  # or it is the server that does not answer
                yield path, None
        else:
            yield path, size


def _list(client: MlflowClient, run: Run, folder: str | None) -> list[tuple[str, int | None]]:
    """What is directly in a folder of a run's artifacts; folders have no size."""
    if not run.info.artifact_uri.startswith("mlflow-artifacts:"):
        found = client.list_artifacts(run.info.run_id, folder)
        return [(one.path, None if one.is_dir else one.file_size or 0) for one in found]
    # MLflow's client refuses the whole list for one name with #, and decodes those with %.
    wanted = {"run_id": run.info.run_id, **({"path": folder} if folder else {})}
    answer = http_request(get_default_host_creds(client.tracking_uri), LIST, "GET", params=wanted)
    files = verify_rest_response(answer, LIST).json().get("files", [])
    return [(one["path"], None if one.get("is_dir") else int(one.get("file_size", 0))) for one in files]


def _fetch(client: MlflowClient, run: Run, path: str, size: int | None, payload: Path) -> None:
    """Copy an artifact to ``payload``.

    Raises:
        ValueError: it cannot be carried, or what came is not what is listed.
        Exception: it cannot be read, in any of MLflow's and requests' ways.
    """
    if not CARRIED_NAME.fullmatch(path):
        raise ValueError("names with control characters, of more than 250 characters or in more than 8 folders stay")
    if size is None:
        raise ValueError("MLflow cannot look into a folder of that name")
    if here := _folder_here(run):
        shutil.copyfile(here / path, payload)
    else:
        Path(client.download_artifacts(run.info.run_id, path, str(payload.parent))).replace(payload)
    if payload.stat().st_size != size:
        raise ValueError(f"{size:,} bytes are listed, {payload.stat().st_size:,} came")


def _folder_here(run: Run) -> Path | None:
    """The folder of a run's artifacts, if it is on this machine."""
    folder = local_folder(run.info.artifact_uri)
    return folder if folder and folder.is_dir() else None


def _models(client: MlflowClient, run: Run, journal: Journal) -> Iterator[dict[str, Any]]:
    query = f"source_run_id = '{run.info.run_id}'"
    for found in client.search_logged_models([run.info.experiment_id], query):
        if found.status != LoggedModelStatus.READY or not is_ours(found):
            continue
        payload = journal.payloads.new("model")
        payload.mkdir()
        for file in client.list_logged_model_artifacts(found.model_id):
            place = f"{found.artifact_location}/{file.path}"
            download_artifacts(place, dst_path=str(payload), tracking_uri=client.tracking_uri)
        metrics = found.metrics or []
        yield {
            "op": "model",
            "name": found.name,
            "payload": journal.payloads.keep(payload),
            "metrics": {metric.key: metric.value for metric in metrics},
            "step": metrics[0].step if metrics else 0,
            "timestamp_ms": metrics[0].timestamp if metrics else run.info.end_time,
        }


def read_contents(archive: zipfile.ZipFile) -> list[ArchivedRun]:
    """The runs of an archive, every one before those below it.

    Raises:
        ValueError: they are not what :func:`export_runs` writes.
    """
    runs = ARCHIVED.validate_python(json.loads(archive.read(CONTENTS)))
    if len({run.id for run in runs}) != len(runs):
        raise ValueError("it has a run twice")
    return runs
