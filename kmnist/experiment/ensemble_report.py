"""What an ensemble leaves in its run: its numbers and its members', tables and figures, the note, the model."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from kmnist import figures, record
from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images
from kmnist.experiment.answered import Answered
from kmnist.experiment.checkpointer import split_metrics
from kmnist.experiment.note import sample_warning
from kmnist.experiment.run import Run
from kmnist.metrics import Metrics
from kmnist.network import SavedNetwork
from kmnist.record import Objective, TrackedRun
from kmnist.text import markdown_table
from kmnist.training.evaluate import evaluate

STEP = 1  # the only one
ACCURACY = Objective.of("valid/accuracy")


@dataclass(frozen=True, eq=False)
class MemberRow:
    """A line about one member.

    Attributes:
        run: that it was trained in.
        config: its settings.
        valid: on the images that no member was trained on.
        weight: that it has among the others; ``None``: a regression has learnt what to make of it.
        differs: the share of these images for which it names another class, in the mean over the other members.
    """

    run: TrackedRun
    config: TrainConfig
    valid: Metrics
    weight: float | None
    differs: float


@dataclass(frozen=True, eq=False)
class Built:
    """An ensemble, measured on images that no member was trained on.

    Attributes:
        saved: it.
        valid: those images.
        found: what it came to on them.
        members: in its order.
        disagreement: (M, M), the share of the images for which each two members name different classes.
    """

    saved: SavedNetwork
    valid: Images
    found: Metrics
    members: Sequence[MemberRow]
    disagreement: npt.NDArray[np.float64]

    @property
    def best_member(self) -> MemberRow:
        """The one with the best accuracy, the first of equals."""
        return min(self.members, key=lambda member: ACCURACY.rank(member.valid.accuracy))

    @property
    def gain(self) -> float:
        """Accuracy over that of the best member."""
        return self.found.accuracy - self.best_member.valid.accuracy

    @property
    def diversity(self) -> float:
        """The mean of the disagreement of all pairs; of one member 0."""
        pairs = self.disagreement[np.triu_indices(len(self.members), 1)]
        return float(pairs.mean()) if len(pairs) else 0.0

    @property
    def table(self) -> pd.DataFrame:
        """A row for each member."""
        rows = [
            {
                "member": place,
                "run_id": member.run.run_id,
                "name": member.run.name,
                "arch": member.config.arch,
                "seed": member.config.seed,
                "weight": member.weight,
                "valid_accuracy": member.valid.accuracy,
                "valid_loss": member.valid.loss,
                "test_accuracy": member.run.value(record.TEST, "accuracy"),
                "differs": member.differs,
            }
            for place, member in enumerate(self.members, start=1)
        ]
        return pd.DataFrame(rows)


def log_ensemble(built: Built, data: Dataset, run: Run, remarks: Sequence[str]) -> Metrics:
    """Evaluate on the test split, once, and log everything; gives what it came to on test.

    Args:
        built: the ensemble.
        data: whose test split is used.
        run: where to write to.
        remarks: what else the note is to say.
    """
    saved, spec, now = built.saved, built.saved.spec, time.time_ns() // 1_000_000
    about = {record.DATASET: spec.name, record.OFFICIAL: str(spec.official).lower(), record.WHAT: saved.config.arch}
    run.log_tags(about)
    for split, images in ((record.VALID, built.valid), (record.TEST, data.test)):
        run.log_data(split, images, spec, data.source)
    test, log_probabilities = evaluate(saved.network, data.test)
    title = f"{spec.name} test split, {saved.config.arch}"
    answered = Answered(title, data.test, spec, log_probabilities.numpy(), saved.calibration)
    linked = {**split_metrics(record.VALID, built.found), **split_metrics(record.TEST, test)}
    best = {record.metric(record.BEST, f"valid_{name}"): value for name, value in built.found.as_dict().items()}
    gained = {record.GAIN: built.gain, record.DIVERSITY: built.diversity}
    run.log_metrics({**linked, **best, **gained, **answered.thresholds, **answered.sureness(record.TEST)}, STEP, now)
    table = built.table
    run.log_file(table.to_csv(index=False).encode(), f"{record.REPORTS}/{record.MEMBERS_TABLE}")
    pairs = pd.DataFrame(built.disagreement, index=table["member"], columns=table["member"].astype(str))
    run.log_file(pairs.to_csv().encode(), f"{record.REPORTS}/disagreement.csv")
    run.log_file(json.dumps(spec.to_json(), ensure_ascii=False, indent=2).encode(), record.DATA_SPEC)
    run.log_note(_note(built, test, remarks))
    answered.log(run)
    labels = {record.VALID: built.valid.labels, record.TEST: data.test.labels}
    pictures = {
        "members": figures.members(table, built.found.accuracy, built.disagreement),
        "samples": figures.samples(built.valid.pixels, built.valid.labels, spec),
        "class_distribution": figures.class_distribution(labels, spec),
    }
    for name, png in pictures.items():
        run.log_file(png, f"{record.FIGURES}/{name}.png")
    run.log_model(saved, STEP, linked, now)
    return test


def _note(built: Built, test: Metrics, remarks: Sequence[str]) -> str:
    spec, best = built.saved.spec, built.best_member
    rows = [
        (
            f"{place}, `{member.run.run_id}`",
            f"{member.config.arch} s{member.config.seed}",
            "" if member.weight is None else f"{member.weight:.3g}",
            f"{member.valid.accuracy:.2%}",
            _percent(member.run.value(record.TEST, "accuracy")),
            f"{member.differs:.2%}",
        )
        for place, member in enumerate(built.members, start=1)
    ]
    header = ("member, run", "what", "weight", "valid accuracy", "test accuracy", "differs from the others")
    height, width = spec.shape
    more = "".join(f"\n\n{remark}" for remark in remarks)
    return f"""{sample_warning(spec.name)}**{built.saved.config.arch}**: test accuracy \
**{test.accuracy:.2%}**, test loss {test.loss:.4f}.

On the {len(built.valid):,} images that no member was trained on: **{built.found.accuracy:.2%}**, \
{100 * built.gain:+.2f} points over the best member ({best.valid.accuracy:.2%}); two members differ on \
{built.diversity:.2%} of them. The test split was evaluated once.{more}

{markdown_table(header, rows)}

**Artifacts.** `figures/`: `members`, `confusion_matrix`, `misclassified`, `samples`, `class_distribution`.
`reports/`: `members`, `disagreement`, `classification_report`, `per_class`, `confusions`, `predictions`. The model
takes raw pixels 0..255 of shape (N, {height}, {width}) and gives log-probabilities (N, {len(spec.classes)}).
"""


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
