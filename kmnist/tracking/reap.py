"""Ending the runs whose process is gone: killed, or with its machine, before it could say so."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from kmnist import record
from kmnist.durable import is_held
from kmnist.tracking.connect import tracking_errors
from kmnist.tracking.creation import CREATION
from kmnist.tracking.heartbeat import BEAT_SECONDS, TAG, last_beat_ms, now_ms
from kmnist.tracking.journal import LOCK, unsent_bytes
from kmnist.tracking.read import search_all

#: For how long a silent run is watched: two calls on a server that hangs for 20 s each, and a beat that is due.
WATCH_SECONDS = 4 * BEAT_SECONDS


def find_silent(client: MlflowClient, silent_seconds: float) -> list[Run]:
    """The RUNNING runs of ours, in all experiments, whose last sign of life is not of the last ``silent_seconds``.

    A run is ours if it has what all of our runs have from their beginning, and a sign of life that can be one. Its
    time may lie ahead: clocks differ, and are set.

    Raises:
        TrackingError: the server does not answer.
    """
    with tracking_errors("the runs cannot be looked through"):
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        running = search_all(client, ids, "attributes.status = 'RUNNING'")
        return [run for run in running if _is_ours(run) and abs(_age(run)) > silent_seconds]


def reap(
    client: MlflowClient, runs: Sequence[Run], work_dir: Path, watching: Callable[[int], None]
) -> Iterator[tuple[Run, str]]:
    """End as KILLED those of ``runs`` whose process is gone.

    One whose folder is below ``work_dir`` has a lock there, which its process holds for as long as it lives. The
    others are watched for a while: clocks of two machines differ, and after an outage of the server the last sign of
    life is old, though the process lives.

    Yields:
        The run, and what became of it, in words.

    Raises:
        TrackingError: the server does not answer.
    """
    watched = []
    for run in runs:
        folder = work_dir / str(run.info.run_id)
        if not folder.is_dir():
            watched.append(run)
        elif is_held(folder / LOCK):
            yield run, "left alone: a process on this machine works on it"
        elif waiting := unsent_bytes(folder):
            yield run, f"left alone: {waiting:,} bytes of it wait in {folder}; kmnist sync first"
        else:
            yield run, _end(client, run)
    if watched:
        watching(len(watched))
        time.sleep(WATCH_SECONDS)
    for run in watched:
        with tracking_errors(f"run {run.info.run_id} cannot be read"):
            now = client.get_run(run.info.run_id)
        if now.info.lifecycle_stage != "active":
            yield run, "left alone: it has been deleted"
        elif now.info.status != "RUNNING":
            yield run, f"left alone: it has ended as {now.info.status}"
        elif now.data.tags.get(TAG) != run.data.tags[TAG]:
            yield run, "left alone: it gave a sign of life"
        else:
            yield run, _end(client, now)


def _end(client: MlflowClient, run: Run) -> str:
    run_id, last_ms = run.info.run_id, _last_beat(run)
    said = f"no sign of life since {datetime.fromtimestamp(last_ms / 1000):%Y-%m-%d %H:%M:%S}"
    note = run.data.tags.get(MLFLOW_RUN_NOTE, "")
    told = f"Ended by `kmnist reap`: {said}. Where its checkpoint is, `kmnist train --resume {run_id}` goes on with it."
    tags = {record.END_REASON: f"its process is gone: {said}"}
    if told not in note:  # as it is after an outage between the note and the end
        tags[MLFLOW_RUN_NOTE] = f"{note}\n\n{told}".strip()
    # A clock that was wrong must not give it an end before its start, or one that is yet to come.
    ended_ms = last_ms if run.info.start_time <= last_ms <= now_ms() else now_ms()
    with tracking_errors(f"run {run_id} cannot be ended"):
        client.log_batch(run_id, tags=[RunTag(tag, text) for tag, text in tags.items()])
        client.set_terminated(run_id, "KILLED", ended_ms)
    return f"KILLED: {said}"


def _is_ours(run: Run) -> bool:
    """Others may have a tag of that name; runs made before there was ``CREATION`` have our version."""
    tags = run.data.tags
    return last_beat_ms(tags) is not None and (CREATION in tags or "version.kmnist" in tags)


def _last_beat(run: Run) -> int:
    last = last_beat_ms(run.data.tags)
    assert last is not None  # or it is not ours
    return last


def _age(run: Run) -> float:
    return (now_ms() - _last_beat(run)) / 1000
