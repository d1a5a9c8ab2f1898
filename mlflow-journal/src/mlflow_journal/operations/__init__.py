"""One dataclass a kind of write: how it is kept in the journal, what it is called, and how it is sent.

Every one may be sent again without harm. Records are read with ``operation``; what cannot be read becomes ``Damaged``.
"""

from typing import Any

from mlflow_journal.operations.artifact import LogArtifact
from mlflow_journal.operations.base import Damaged, Operation, Target
from mlflow_journal.operations.creation import CreateExperiment, CreateModel, CreateRun
from mlflow_journal.operations.experiment import DeleteExperimentTag, SetExperimentTag
from mlflow_journal.operations.model import DeleteModelTag, FinalizeModel, LogModelParams, SetModelTags
from mlflow_journal.operations.run import (
    DeleteTag,
    LogBatch,
    LogInputs,
    LogOutputs,
    RecordModel,
    UpdateRun,
)

KINDS: dict[str, type[Operation]] = {
    kind.kind: kind
    for kind in (
        CreateExperiment,
        CreateModel,
        CreateRun,
        DeleteExperimentTag,
        DeleteModelTag,
        DeleteTag,
        FinalizeModel,
        LogArtifact,
        LogBatch,
        LogInputs,
        LogModelParams,
        LogOutputs,
        RecordModel,
        SetExperimentTag,
        SetModelTags,
        UpdateRun,
    )
}

__all__ = [
    "KINDS",
    "CreateExperiment",
    "CreateModel",
    "CreateRun",
    "Damaged",
    "DeleteExperimentTag",
    "DeleteModelTag",
    "DeleteTag",
    "FinalizeModel",
    "LogArtifact",
    "LogBatch",
    "LogInputs",
    "LogModelParams",
    "LogOutputs",
    "Operation",
    "RecordModel",
    "SetExperimentTag",
    "SetModelTags",
    "Target",
    "UpdateRun",
    "operation",
]


def operation(record: dict[str, Any]) -> Operation:
    """What a record of a journal means; ``Damaged`` if it is not what this version writes."""
    if record.get("v") != 1:
        return Damaged(f"a record of version {record.get('v')!r}, which this version of mlflow-journal cannot read")
    kind = KINDS.get(str(record.get("op")))
    if kind is None:
        return Damaged(f"a damaged record, or one of an unknown kind: {record.get('op')!r}")
    try:
        return kind.from_json(record)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        return Damaged(f"a damaged record of kind {kind.kind}: {error}")
