"""A journal whose run is gone from its server for good, as after ``mlflow gc``: what is here of it gets a new run."""

import json
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kmnist import record
from kmnist.durable import replace_file
from kmnist.tracking.connect import WAY_OUT, ServerAway, tracking_errors
from kmnist.tracking.creation import START_SECONDS, Creation, experiment_id, wait_out
from kmnist.tracking.heartbeat import TAG, now_ms
from kmnist.tracking.journal import JOURNAL, LOCK, read_journal, refuse_links
from kmnist.tracking.records import Record, kind_of
from kmnist.tracking.sent import SENT

#: Records that are about the run alone: others name a model or a run of the old one's.
KINDS = {"params", "tags", "inputs", "metrics", "file", "model", "status"}


def is_gone(client: MlflowClient, run_id: str) -> bool:
    """Whether a server says that there is no such run, not even a deleted one; it does not where it does not answer."""
    try:
        client.get_run(run_id)
    except Exception as error:  # an outage comes in many ways, and is told by whoever sends
        return isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST"
    return False


def renew_runs(client: MlflowClient, work_dir: Path, experiment_name: str) -> Iterator[tuple[str, str]]:
    """Make a new run for each journal below ``work_dir`` whose run is gone, and give it the folder, to be sent.

    Parameters, metrics and tags are all there; of the files, those that the server had are gone with it.

    Yields:
        The id of the run that is gone, and that of the new one.

    Raises:
        TrackingError: the server does not answer, or no run can be made.
        OSError: a folder cannot be written.
    """
    for folder in sorted(path for path in work_dir.glob("*") if path.is_dir()):
        refuse_links(folder)
        waiting = read_journal(folder)
        if waiting is None or not (waiting.unsent_bytes or waiting.tagged) or not is_gone(client, folder.name):
            continue
        try:
            with FileLock(folder / LOCK, timeout=0):
                new = _new_run(client, folder.name, _records(folder), experiment_name)
                _keep_what_is_here(folder)
                folder.rename(work_dir / new)
        except Timeout:  # a process is working on it, and will be told by the server
            continue
        yield folder.name, new


def _new_run(client: MlflowClient, old: str, records: list[Record], experiment_name: str) -> str:
    began = min((found["timestamp_ms"] for found in records if "timestamp_ms" in found), default=now_ms())
    creation = Creation(client, f"again: {old}", {TAG: str(began), record.IMPORTED: old}, began)

    def attempt() -> str:
        with tracking_errors(f"no run can be made in {experiment_name!r}", WAY_OUT):
            place = experiment_id(client, experiment_name)
            made = client.search_runs([place], f"tags.`{record.IMPORTED}` = '{old}'", max_results=1)
            return str((made[0] if made else creation(place)).info.run_id)  # this may have been broken off before

    return wait_out(attempt, START_SECONDS, on=ServerAway)


def _keep_what_is_here(folder: Path) -> None:
    """Make all records unsent again, but for those whose files went to the server and are gone."""
    kept = [
        found
        for found in _records(folder)
        if kind_of(found) in KINDS and ("payload" not in found or (folder / "payloads" / found["payload"]).exists())
    ]
    (folder / SENT).unlink(missing_ok=True)
    replace_file(folder / JOURNAL, b"".join(json.dumps(found).encode() + b"\n" for found in kept))


def _records(folder: Path) -> list[Record]:
    found: list[Record] = []
    for line in (folder / JOURNAL).read_bytes().splitlines():
        try:
            one = json.loads(line)
        except ValueError:  # spoilt by a failing disk
            continue
        if isinstance(one, dict):
            found.append(one)
    return found
