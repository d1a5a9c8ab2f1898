"""For tests of programs that log to MLflow: a proxy with faults, a server to kill, a comparison of what arrived."""

from mlflow_journal.testing.proxy import DONE_BUT_NOT_ANSWERED, KINDS, Fault, FaultProxy, Kind
from mlflow_journal.testing.server import MlflowServer
from mlflow_journal.testing.snapshot import Findings, RunSnapshot, compare, take_snapshot

__all__ = [
    "DONE_BUT_NOT_ANSWERED",
    "KINDS",
    "Fault",
    "FaultProxy",
    "Findings",
    "Kind",
    "MlflowServer",
    "RunSnapshot",
    "compare",
    "take_snapshot",
]
