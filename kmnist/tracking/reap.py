"""Ending the runs whose process is gone: killed, or with its machine, before it could say so."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from kmnist.tracking.heartbeat import BEAT_SECONDS, TAG
from kmnist.tracking.journal import unsent_bytes

#: For how long a silent run is watched: two calls on a server that hangs for 20 s each, and a beat that is due.
WATCH_SECONDS = 4 * BEAT_SECONDS
PAGE = 1000


def find_silent(client: MlflowClient, silent_seconds: float) -> list[Run]:
    """The RUNNING runs, in all experiments, whose last sign of life is older than ``silent_seconds``.

    Runs that never gave one are not ours, and are left out.
    """
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    found: list[Run] = []
    token = None
    while ids:
        page = client.search_runs(ids, "attributes.status = 'RUNNING'", max_results=PAGE, page_token=token)
        found += [run for run in page if run.data.tags.get(TAG, "").isdigit() and _age(run) > silent_seconds]
        if not (token := page.token):
            break
    return found


def reap(
    client: MlflowClient, runs: Sequence[Run], work_dir: Path, watching: Callable[[int], None]
) -> Iterator[tuple[Run, str]]:
    """End as KILLED those of ``runs`` whose process is gone.

    One whose folder is below ``work_dir`` has a lock there, which its process holds for as long as it lives. The
    others are watched for a while: clocks of two machines differ, and after an outage of the server the last sign of
    life is old, though the process lives.

    Yields:
        The run, and what became of it, in words.
    """
    watched = []
    for run in runs:
        folder = work_dir / str(run.info.run_id)
        if not folder.is_dir():
            watched.append(run)
        elif _is_held(folder):
            yield run, "left alone: a process on this machine works on it"
        elif waiting := unsent_bytes(folder):
            yield run, f"left alone: {waiting:,} bytes of it wait in {folder}; kmnist sync first"
        else:
            yield run, _end(client, run)
    if watched:
        watching(len(watched))
        time.sleep(WATCH_SECONDS)
    for run in watched:
        now = client.get_run(run.info.run_id)
        if now.info.status != "RUNNING":
            yield run, f"left alone: it has ended as {now.info.status}"
        elif now.data.tags[TAG] != run.data.tags[TAG]:
            yield run, "left alone: it gave a sign of life"
        else:
            yield run, _end(client, now)


def _end(client: MlflowClient, run: Run) -> str:
    run_id, last_ms = run.info.run_id, int(run.data.tags[TAG])
    said = f"no sign of life since {datetime.fromtimestamp(last_ms / 1000):%Y-%m-%d %H:%M:%S}"
    note = run.data.tags.get(MLFLOW_RUN_NOTE, "")
    told = f"Ended by `kmnist reap`: {said}. Where its checkpoint is, `kmnist train --resume {run_id}` goes on with it."
    client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{note}\n\n{told}".strip())
    client.set_tag(run_id, "end_reason", f"its process is gone: {said}")
    client.set_terminated(run_id, "KILLED", last_ms)
    return f"KILLED: {said}"


def _age(run: Run) -> float:
    return time.time() - int(run.data.tags[TAG]) / 1000


def _is_held(folder: Path) -> bool:
    try:
        with FileLock(folder / "lock", timeout=0):
            return False
    except Timeout:
        return True
