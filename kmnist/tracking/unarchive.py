"""Runs from a file become runs of another store. The file may come from anybody: it is checked before it is used.

Servers give runs their ids, so all of an archive's runs are made first, and then what refers to one by its id (the
parent of a trial, the best run of a study, links of a note) is written with the new one.
"""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from kmnist import record
from kmnist.errors import TrackingError, in_one_line
from kmnist.tracking.archive import CONTENTS, ArchivedRun, read_contents
from kmnist.tracking.connect import WAY_OUT, tracking_errors
from kmnist.tracking.creation import START_SECONDS, Creation, experiment_id, wait_out
from kmnist.tracking.heartbeat import TAG
from kmnist.tracking.journal import JOURNAL, LOCK, Journal
from kmnist.tracking.pending import send_journal
from kmnist.tracking.records import Record, kind_of
from kmnist.tracking.sent import SENT

MOST_FILES, MOST_BYTES = 200_000, 20 * 10**9
MOST_CONTENTS = 50_000_000  # bytes of runs.json
MOST_TAGS = 50  # in a record; MLflow takes 100
#: What a run's own journal may tell. Not among them: tags, which runs.json has, and records about other runs.
KINDS = {"params", "inputs", "metrics", "file", "model", "status"}
MEMBER = re.compile(
    rf"[A-Za-z0-9]{{1,64}}/({JOURNAL}|payloads/[0-9]{{1,9}}/[^/\x00-\x1f]{{1,250}}(/[^/\x00-\x1f]{{1,250}}){{0,8}})"
)


def import_runs(
    client: MlflowClient, file: Path, work_dir: Path, experiment_name: str, say: Callable[[str], None]
) -> Iterator[tuple[str, str, str]]:
    """Make the runs of a file in an experiment; one that was imported whole before is left as it is.

    Args:
        client: of the server that is to have them.
        file: from :func:`kmnist.tracking.archive.export_runs`.
        work_dir: where the journal of a run waits until all of it has arrived; ``kmnist sync`` sends what does not.
        experiment_name: that the runs are to belong to.
        say: told when the server is waited for.

    Yields:
        The id that a run had, the one that it has, and what became of its journal, in words.

    Raises:
        TrackingError: the file is not one of ours, or damaged, or too large; or the server does not answer.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check(archive, work_dir)
            runs = read_contents(archive)
            for run in runs:  # before the first is made
                for _ in _records(archive, run):
                    pass
            with tracking_errors(f"no run can be made in {experiment_name!r}", WAY_OUT):
                place = experiment_id(client, experiment_name)
            new: dict[str, str] = {}
            complete = set()
            for run in runs:
                found = _found(client, place, run.id)
                new[run.id] = found.info.run_id if found else _make(client, place, run, new, say)
                if found and found.info.status != "RUNNING":  # its status is what is sent last
                    complete.add(run.id)
            for run in runs:
                outcome = "is there already"
                if run.id not in complete:
                    outcome = _carry(client, archive, run, work_dir / new[run.id], new, place)
                yield run.id, new[run.id], outcome
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise TrackingError(f"{file} cannot be imported: {in_one_line(error)[:300]}") from error


def _check(archive: zipfile.ZipFile, work_dir: Path) -> None:
    """Raises ValueError for what no archive of ours has: nothing is written before."""
    members = archive.infolist()
    size = sum(member.file_size for member in members)
    free = shutil.disk_usage(next(path for path in (work_dir, *work_dir.absolute().parents) if path.exists())).free
    if len(members) > MOST_FILES or size > min(MOST_BYTES, free):
        raise ValueError(
            f"{len(members):,} files of {size:,} bytes are more than {MOST_FILES:,}, {MOST_BYTES:,} or free"
        )
    if len({member.filename for member in members}) != len(members):
        raise ValueError("it has a file twice")
    for member in members:
        name = member.filename
        if name == CONTENTS:
            if member.file_size > MOST_CONTENTS:
                raise ValueError(f"{CONTENTS} has {member.file_size:,} bytes")
        elif not MEMBER.fullmatch(name) or {".", ".."} & set(PurePosixPath(name).parts):
            raise ValueError(f"it has a file {name[:100]!r}, which an export has not")


def _found(client: MlflowClient, place: str, old: str) -> Run | None:
    with tracking_errors("the runs that are there cannot be looked through"):
        found = client.search_runs([place], f"tags.`{record.IMPORTED}` = '{old}'", max_results=1)
    return found[0] if found else None


def _make(
    client: MlflowClient, place: str, run: ArchivedRun, new: Mapping[str, str], say: Callable[[str], None]
) -> str:
    tags = {TAG: str(run.began_ms), record.IMPORTED: run.id}
    if (parent := new.get(run.parent or "")) is not None:
        tags[MLFLOW_PARENT_RUN_ID] = parent
    creation = Creation(client, run.name, tags, run.began_ms)

    def attempt() -> str:
        with tracking_errors(f"run {run.id} cannot be made", WAY_OUT):
            return str(creation(place).info.run_id)

    return wait_out(attempt, START_SECONDS, say=say)


def _carry(
    client: MlflowClient, archive: zipfile.ZipFile, run: ArchivedRun, folder: Path, new: Mapping[str, str], place: str
) -> str:
    """Send a run's journal from ``folder``; what an import that was broken off has left there is written anew."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / LOCK, timeout=0):
        for left in (JOURNAL, SENT):
            (folder / left).unlink(missing_ok=True)
        shutil.rmtree(folder / "payloads", ignore_errors=True)
        _unpack(archive, run, folder, lambda text: _with_new_ids(text, new, place))
        outcome = send_journal(client, new[run.id], folder)
    if outcome.startswith("sent"):
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _unpack(archive: zipfile.ZipFile, run: ArchivedRun, folder: Path, renewed: Callable[[str], str]) -> None:
    """Write the journal of a run anew, with the records that it may have, and their files beside it."""
    for member in archive.infolist():
        if member.filename.startswith(f"{run.id}/payloads/"):
            target = folder / member.filename.partition("/")[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    tags = {key: renewed(text) for key, text in run.tags.items() if key not in (MLFLOW_PARENT_RUN_ID, record.IMPORTED)}
    keys = list(tags)
    with closing(Journal(folder)) as journal:
        for first in range(0, len(keys), MOST_TAGS):
            journal.append({"op": "tags", "tags": {key: tags[key] for key in keys[first : first + MOST_TAGS]}})
        for found in _records(archive, run):
            journal.append(found)


def _records(archive: zipfile.ZipFile, run: ArchivedRun) -> Iterator[Record]:
    """Those of a run's journal; raises ValueError if it tells of anything but its own run."""
    with archive.open(f"{run.id}/{JOURNAL}") as lines:
        for line in lines:
            found: Any = json.loads(line)
            if not isinstance(found, dict) or kind_of(found) not in KINDS:
                raise ValueError("a journal in it tells of something else than its own run")
            yield found


def _with_new_ids(text: str, new: Mapping[str, str], place: str) -> str:
    text = re.sub(
        r"#/experiments/\d+/runs/([A-Za-z0-9]+)",
        lambda match: f"#/experiments/{place}/runs/{match[1]}" if match[1] in new else match[0],
        text,
    )
    return re.sub(r"[A-Za-z0-9]{8,64}", lambda match: new.get(match[0], match[0]), text)
