"""Reads the journals on this disk: the points of a metric that wait, and runs that another process began."""

from collections.abc import Iterator
from pathlib import Path

from mlflow.entities import Metric, Run

from mlflow_journal.files import Position, Reader, segment_numbers
from mlflow_journal.identities import is_provisional
from mlflow_journal.journal import read_entry
from mlflow_journal.operations import CreateRun, LogBatch, Operation, operation
from mlflow_journal.process import Process
from mlflow_journal.sender import JOURNALS


def pending_metrics(process: Process, run_id: str, key: str) -> list[Metric]:
    """The points of a metric that have not arrived, in the order of their steps."""
    names = {run_id, process.identities.canonical(run_id)}
    rows = [
        row
        for found in operations(process)
        if isinstance(found, LogBatch) and found.run_id in names
        for row in found.metrics
        if row[0] == key
    ]
    return [Metric(*row[:4]) for row in sorted(rows, key=lambda row: (row[3], row[2]))]


def load_run(process: Process, run_id: str) -> Run | None:
    """A run that another process of this machine began while the server was away."""
    if not is_provisional(run_id):
        return None
    for found in operations(process):
        if found.subject == run_id and (isinstance(found, CreateRun) or process.mirror.run(run_id)):
            process.mirror.apply(found)
    return process.mirror.run(run_id)


def operations(process: Process) -> Iterator[Operation]:
    """All that lies in the journals of this address, whoever writes them, oldest journal first."""
    for folder in sorted(process.folder.glob(f"{JOURNALS}/records")):
        for number in segment_numbers(folder):
            yield from _operations(folder, number)


def _operations(folder: Path, number: int) -> Iterator[Operation]:
    reader, start, end = Reader(folder), Position(number, 0), Position(number + 1, 0)
    try:
        while lines := reader.read(start, end, 1000):
            yield from (operation(read_entry(line).record) for line in lines)
            start = lines[-1].end
    finally:
        reader.close()
