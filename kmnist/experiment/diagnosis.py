"""What the diagnostics leave: a few metrics of each epoch, and the rest as one table, kept in the run's folder."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from kmnist import record
from kmnist.errors import CheckpointError
from kmnist.experiment.splits import Splits
from kmnist.training.compute import Compute
from kmnist.training.diagnostics import Diagnosis, Diagnostics

COLUMNS = ("epoch", "layer", "gradient_norm", "weight_norm", "update_ratio", "dead")


class DiagnosisLog:
    """Diagnoses a network after each epoch, and appends to the table, which a resumed run goes on with.

    Args:
        splits: what is trained on.
        compute: where and how.
        folder: of the run.
        done: epochs that are in its checkpoint; the rows of later ones are dropped, for they come again.

    Raises:
        CheckpointError: the table cannot be written; so in :meth:`write`.
    """

    def __init__(self, splits: Splits, compute: Compute, folder: Path, done: int) -> None:
        self._diagnostics = Diagnostics(splits.train, splits.valid, compute.device)
        self._compute, self._file = compute, folder / record.LAYERS
        rows = [row for row in _rows(self._file) if int(row[0]) <= done] if done else []
        self._write([COLUMNS, *rows], "w")

    def measure(self, model: nn.Module, before: Mapping[str, Tensor]) -> Diagnosis:
        """After an epoch; ``before`` are the weights of the one before it."""
        with self._compute.active():
            return self._diagnostics(model, before)

    def write(self, number: int, diagnosis: Diagnosis) -> dict[str, float]:
        """Add the rows of an epoch to the table; gives its metrics."""
        layers = [
            [number, at.layer, *map(_text, (at.gradient_norm, at.weight_norm, at.update_ratio)), ""]
            for at in diagnosis.layers
        ]
        relus = [[number, name, "", "", "", _text(share)] for name, share in diagnosis.dead_relus.items()]
        self._write([*layers, *relus], "a")
        return {record.metric(record.DIAGNOSTICS, name): value for name, value in diagnosis.summary.items()}

    def _write(self, rows: Iterable[Iterable[object]], mode: str) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open(mode, newline="") as file:
                csv.writer(file).writerows(rows)
        except OSError as error:
            raise CheckpointError(
                f"{self._file} cannot be written ({error}); free some space, or name another folder with --work-dir"
            ) from error


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _rows(file: Path) -> list[list[str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        # The last line may be cut off, by what ended the process.
        return [row for row in csv.reader(lines) if len(row) == len(COLUMNS) and row[0].isdigit()]
