"""MLflow: the one room that knows it.

``connect`` finds the server, ``creation`` makes a run, ``project`` takes the one of ``mlflow run``, ``run`` is what a
training writes to and ``read`` gives back. ``journal`` keeps every record on disk, with its ``payloads`` and how far
it is ``sent``, until ``sender`` has carried it over: ``deliver`` makes requests of ``records``, ``publish`` of a
model that ``model`` has saved, ``upload`` sends files and sees that they are there, ``retry_after`` asks how long to
wait. ``pending`` sends what was left, ``heartbeat`` tells that a run lives, ``reap`` ends those that do not. ``code``
is what was changed since its commit. ``archive`` makes journals of runs, and ``unarchive`` runs of them, on another
server.
"""

from kmnist.tracking.children import ChildRuns, parent_run
from kmnist.tracking.connect import check_params, connect, reopen_run, run_page, run_url
from kmnist.tracking.creation import create_run, wait_out
from kmnist.tracking.link import tag_runs
from kmnist.tracking.pending import list_pending, send_pending
from kmnist.tracking.project import ENSEMBLE, TRAIN, TUNE, point_to, project_run
from kmnist.tracking.reap import find_silent, reap
from kmnist.tracking.run import MlflowRun
from kmnist.tracking.system import SystemMetrics

__all__ = [
    "ENSEMBLE",
    "TRAIN",
    "TUNE",
    "ChildRuns",
    "MlflowRun",
    "SystemMetrics",
    "check_params",
    "connect",
    "create_run",
    "find_silent",
    "list_pending",
    "parent_run",
    "point_to",
    "project_run",
    "reap",
    "reopen_run",
    "run_page",
    "run_url",
    "send_pending",
    "tag_runs",
    "wait_out",
]
