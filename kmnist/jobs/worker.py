"""A worker process of a study: what it is told, and how it finds everything else."""

import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from kmnist.data import Images, TrainingData
from kmnist.errors import KmnistError, Terminated
from kmnist.models.transfer import InitialWeights
from kmnist.text import complain

#: Workers are forked from a server that has done nothing but import: a copy of this process would have its threads and
#: locks in mid-work, and a fresh interpreter would take seconds for imports, at every start and after every death.
CONTEXT = get_context("forkserver")
IMPORTED = ["kmnist.tracking", "kmnist.tuning.worker", "sklearn.model_selection", "torch._dynamo"]


def warm_up() -> None:
    """Let the server begin to import, while this process does so, too."""
    CONTEXT.set_forkserver_preload(IMPORTED)
    ensure_running()


@dataclass(frozen=True)
class WorkerTask:
    """What all workers of a command are told.

    Attributes:
        storage: address of the studies.
        tracking_uri: of the server that has the study's run.
        parent_id: that run.
        work_dir: for checkpoints and journals.
        device: to compute on.
        threads: that a worker may compute with.
        data: to train on; loaded and checked once, by the command.
        initial: weights to begin with, where the study's settings name some.
        test: the test images, for a confirmation only: a search is not handed them.
    """

    storage: str
    tracking_uri: str
    parent_id: str
    work_dir: Path
    device: str
    threads: int | None
    data: TrainingData
    initial: InitialWeights | None = None
    test: Images | None = None

    def spawn(self, study: str, session: str, worker: str, heartbeats: Connection) -> BaseProcess:
        """Start a worker."""
        process = CONTEXT.Process(target=_run, args=(self, study, session, worker, heartbeats), daemon=True)
        process.start()
        return process


def _run(task: WorkerTask, study_name: str, session: str, worker: str, heartbeats: Connection) -> None:
    # A terminal sends Ctrl-C to all processes; the command's own tells us in its turn, once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from kmnist.tuning.pool import send_heartbeats
    from kmnist.tuning.storage import STORAGE_IS_AWAY

    send_heartbeats(heartbeats)
    try:
        _work(task, study_name, session, worker)
    except (KmnistError, *STORAGE_IS_AWAY) as error:
        complain(f"a worker of study {study_name} ended: {str(error).splitlines()[0]}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


def _work(task: WorkerTask, study_name: str, session: str, worker: str) -> None:
    from kmnist.checkpoint import FILE_NAME
    from kmnist.tracking import ChildRuns, SystemMetrics, connect, wait_out
    from kmnist.tracking.children import OUTAGE_SECONDS
    from kmnist.tuning.storage import open_storage
    from kmnist.tuning.study import load_study
    from kmnist.tuning.worker import Worker, work

    study = load_study(open_storage(task.storage), study_name)
    client = wait_out(lambda: connect(task.tracking_uri), OUTAGE_SECONDS, say=complain)
    start_run = ChildRuns(client, task.parent_id, task.work_dir, FILE_NAME, say=complain)
    who = Worker(worker, session, task.device, task.threads)
    work(study, who, start_run, task.data, task.test, task.initial, SystemMetrics().sample)


def _terminate(signum: int, frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second would break off the end of the run
    raise Terminated


def _end_with_parent() -> None:
    """A command that was killed cannot tell its workers."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
