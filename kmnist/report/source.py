"""``Source``: a run and what it has left, as a report reads it; ``Report``: those of one report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from itertools import count
from string import ascii_uppercase

import numpy as np
import numpy.typing as npt
import pandas as pd

from kmnist import record
from kmnist.data import Dataset, DataSpec
from kmnist.errors import in_one_line
from kmnist.metrics import Counts, confusion_matrix
from kmnist.record import TrackedRun
from kmnist.report.blocks import literal

Curve = Mapping[int, float]
#: The artifacts that a report reads, and the metrics that it reads by epoch.
FOLDER = record.REPORTS
PREDICTIONS, LAYERS = f"{FOLDER}/{record.PREDICTIONS}", f"{FOLDER}/{record.LAYERS}"
MEMBERS = f"{FOLDER}/{record.MEMBERS_TABLE}"
TRIALS, CONFIRMED, BEST = f"{FOLDER}/trials.csv", f"{FOLDER}/confirmation.csv", f"{FOLDER}/best.yaml"
FILES = (record.DATA_SPEC, PREDICTIONS, LAYERS, TRIALS, CONFIRMED, BEST, MEMBERS)
CURVES = (record.TRAIN, record.VALID, record.DIAGNOSTICS, record.OBSERVED)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a run's network said of the test images.

    Attributes:
        actual: (N,).
        predicted: (N,).
        probabilities: (N, C).
    """

    actual: Counts
    predicted: Counts
    probabilities: npt.NDArray[np.float64]

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """(N,), where it is right."""
        return np.equal(self.actual, self.predicted)

    @property
    def confusion(self) -> Counts:
        """(C, C)."""
        return confusion_matrix(self.actual, self.predicted, self.probabilities.shape[1])


@dataclass(frozen=True, eq=False)
class Source:
    """A run and what it has left.

    Attributes:
        run: its parameters, last metrics and tags.
        letter: what it is called in tables and figures.
        started_ms: Unix time.
        ended_ms: Unix time; ``None``: it has not.
        curves: metric -> epoch -> value.
        files: its artifacts among ``FILES``.
        problems: what could not be read, and why.
    """

    run: TrackedRun
    letter: str = ""
    started_ms: int = 0
    ended_ms: int | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def name(self) -> str:
        """For a person, as Markdown."""
        name = literal(self.run.name or self.run.run_id)
        return f"**{self.letter}** {name}" if self.letter else f"**{name}**"

    @property
    def brief(self) -> str:
        """The same, where its name has been told: its letter and its architecture."""
        arch = self.run.tags.get(record.WHAT) if self.run.is_ensemble else self.run.params.get("arch")
        return f"**{self.letter}** ({literal(arch, 30)})" if arch else f"**{self.letter}**"

    @property
    def is_ours(self) -> bool:
        """Whether it is a training of this program."""
        return self.run.config is not None and record.metric(record.TRAIN, "loss") in self.run.metrics

    @property
    def is_judged(self) -> bool:
        """Whether it is one of this program, with a model of its own: a training, or an ensemble."""
        return self.is_ours or self.run.is_ensemble

    @property
    def epochs(self) -> int:
        """How many it has."""
        return max(self.curve(record.TRAIN, "loss"), default=0)

    @property
    def best_epoch(self) -> int | None:
        """Whose weights were tested; ``None``: none were yet."""
        best = self.run.metrics.get(record.BEST_EPOCH)
        return None if best is None else int(best)

    @property
    def started(self) -> str:
        """In words, UTC."""
        return f"{datetime.fromtimestamp(self.started_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"

    def curve(self, split: str, name: str) -> Curve:
        """A metric by epoch; empty where it has none."""
        return self.curves.get(record.metric(split, name), {})

    def test(self, name: str, split: str = record.TEST) -> float | None:
        """A metric of the test split."""
        return self.run.value(split, name)

    @property
    def is_tested(self) -> bool:
        """Whether it was evaluated on the test split."""
        return self.test("accuracy") is not None

    @cached_property
    def missing(self) -> list[str]:
        """What a report would have liked to find, in words."""
        if not self.is_judged:
            return [
                *self.problems,
                "it has no settings and losses of ours: only what MLflow itself knows is told of it",
            ]
        found = list(self.problems)
        if self.run.status != "FINISHED":
            reason = self.run.tags.get(record.END_REASON)
            after = f" after epoch {self.epochs}" if self.is_ours else ""
            found.append(f"it is {self.run.status}{after}" + (f": {reason}" if reason else ""))
        if not self.is_tested:
            found.append("it was not evaluated on the test split")
        elif self.predictions is None:
            found.append(f"{PREDICTIONS} cannot be had: no intervals per class, pairs, tests or calibration")
        if self.is_ours and not self.curve(record.DIAGNOSTICS, "gradient_norm"):
            found.append("it has no diagnostics: why a loss stood still is told from curves and predictions alone")
        return found

    @cached_property
    def spec(self) -> DataSpec | None:
        """Of its data set."""
        try:
            return DataSpec.from_json(pd.read_json(BytesIO(self.files[record.DATA_SPEC]), typ="series").to_dict())
        except (KeyError, ValueError):
            return None

    @cached_property
    def predictions(self) -> Predictions | None:
        """On the test split."""
        table = self.table(PREDICTIONS)
        if table is None or not {"actual", "predicted"} <= set(table) or not len(table):
            return None
        shares = table[[name for name in table if str(name).startswith("p_")]].to_numpy(np.float64)
        actual, predicted = (table[name].to_numpy(np.int64) for name in ("actual", "predicted"))
        if not max(actual.max(), predicted.max()) < shares.shape[1]:
            return None
        return Predictions(actual, predicted, shares)

    def table(self, path: str) -> pd.DataFrame | None:
        """An artifact that is a table; ``None`` where there is none, or none that can be read."""
        if path not in self.files:
            return None
        try:
            return pd.read_csv(BytesIO(self.files[path]))
        except ValueError:
            return None


@dataclass(frozen=True)
class Report:
    """What a report is of.

    Attributes:
        title: of it.
        sources: the runs, with their letters.
        study: the run of a study; ``None``: it is of none.
        datasets: those that could be read here, by name.
        notes: what else a reader must know: what was left out, what could not be read.
    """

    title: str
    sources: Sequence[Source]
    study: Source | None = None
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def ours(self) -> list[Source]:
        """Those that are trainings of this program."""
        return [source for source in self.sources if source.is_ours]

    @property
    def judged(self) -> list[Source]:
        """Those and the ensembles."""
        return [source for source in self.sources if source.is_judged]

    @property
    def tested(self) -> list[Source]:
        """Those that were evaluated on the test split."""
        return [source for source in self.sources if source.is_tested]

    def dataset(self, source: Source) -> Dataset | None:
        """The images that a run was tested on, if they are here."""
        found = self.datasets.get(source.run.dataset)
        digest = source.run.digests.get(record.TEST)
        if found is None or not digest or not found.test.digest.startswith(digest):
            return None
        return found


def letters() -> "list[str]":
    """A, B, ..., Z, A1, B1, ..."""
    return [f"{letter}{number or ''}" for number, _ in zip(count(), range(40)) for letter in ascii_uppercase]


def explain(error: Exception, what: str) -> str:
    """A problem, as a line of a report."""
    return f"{what} cannot be read ({in_one_line(error)[:200]})"
