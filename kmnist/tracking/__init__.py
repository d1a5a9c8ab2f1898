"""MLflow: the one room that knows it.

``connect`` finds the server and the run, ``run`` is what a training writes to. ``journal`` keeps every record on disk,
with its ``payloads`` and how far it is ``sent``, until ``sender`` has carried it over: ``deliver`` makes requests of
``records``, ``publish`` of a model that ``model`` has saved, ``retry_after`` asks how long to wait. ``pending`` sends
what was left, ``heartbeat`` tells that a run lives, ``reap`` ends those that do not.
"""

from kmnist.tracking.children import ChildRuns, parent_run, point_to, wait_out
from kmnist.tracking.connect import check_params, connect, create_run, reopen_run, run_page, run_url
from kmnist.tracking.pending import list_pending, send_pending
from kmnist.tracking.reap import find_silent, reap
from kmnist.tracking.run import MlflowRun
from kmnist.tracking.system import SystemMetrics

__all__ = [
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
    "reap",
    "reopen_run",
    "run_page",
    "run_url",
    "send_pending",
    "wait_out",
]
