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
#: What is said of an ensemble that no image judges but those of the test split.
UNJUDGED = (
    "Each training image was learnt from by a member: none is left to tell what the ensemble gains, or how sure it may "
    "be of an answer. Members that are trained with one `--split-seed`, and a `--valid-fraction` above 0, keep some."
)


@dataclass(frozen=True, eq=False)
class MemberRow:
    """A line about one member.

    Attributes:
        run: that it was trained in.
        config: its settings.
        weight: that it has among the others; ``None``: a regression has learnt what to make of it.
    """

    run: TrackedRun
    config: TrainConfig
    weight: float | None


@dataclass(frozen=True, eq=False)
class Judgement:
    """What images that no member was trained on say of an ensemble.

    Attributes:
        images: those.
        found: what it came to on them.
        members: what each member came to.
        disagreement: (M, M), the share of the images for which each two members name different classes.
    """

    images: Images
    found: Metrics
    members: Sequence[Metrics]
    disagreement: npt.NDArray[np.float64]

    @property
    def best_member(self) -> int:
        """The place of the one with the best accuracy, the first of equals."""
        return min(range(len(self.members)), key=lambda place: ACCURACY.rank(self.members[place].accuracy))

    @property
    def gain(self) -> float:
        """Accuracy over that of the best member."""
        return self.found.accuracy - self.members[self.best_member].accuracy

    @property
    def diversity(self) -> float:
        """The mean of the disagreement of all pairs; of one member 0."""
        pairs = self.disagreement[np.triu_indices(len(self.members), 1)]
        return float(pairs.mean()) if len(pairs) else 0.0

    @property
    def differs(self) -> list[float]:
        """The share of the images for which each member names another class, in the mean over the other members."""
        return [float(others) for others in self.disagreement.sum(axis=1) / max(len(self.members) - 1, 1)]

    @property
    def metrics(self) -> dict[str, float]:
        """By the names that they have in a run."""
        best = {record.metric(record.BEST, f"valid_{name}"): of for name, of in self.found.as_dict().items()}
        return {**best, record.GAIN: self.gain, record.DIVERSITY: self.diversity}


@dataclass(frozen=True, eq=False)
class Built:
    """An ensemble.

    Attributes:
        saved: it.
        members: in its order.
        judgement: ``None``: each training image was learnt from by a member.
    """

    saved: SavedNetwork
    members: Sequence[MemberRow]
    judgement: Judgement | None

    @property
    def table(self) -> pd.DataFrame:
        """A row for each member; what nothing judges is missing."""
        rows = [
            {
                "member": place,
                "run_id": member.run.run_id,
                "name": member.run.name,
                "arch": member.config.arch,
                "seed": member.config.seed,
                "weight": member.weight,
                "test_accuracy": member.run.value(record.TEST, "accuracy"),
            }
            for place, member in enumerate(self.members, start=1)
        ]
        judged = self.judgement
        return pd.DataFrame(rows).assign(
            valid_accuracy=[found.accuracy for found in judged.members] if judged else np.nan,
            valid_loss=[found.loss for found in judged.members] if judged else np.nan,
            differs=judged.differs if judged else np.nan,
        )


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
    if judged := built.judgement:
        run.log_data(record.VALID, judged.images, spec, data.source)
    run.log_data(record.TEST, data.test, spec, data.source)
    test, log_probabilities = evaluate(saved.network, data.test)
    title = f"{spec.name} test split, {saved.config.arch}"
    answered = Answered(title, data.test, spec, log_probabilities.numpy(), saved.calibration)
    linked = split_metrics(record.TEST, test)
    numbers = {**answered.thresholds, **answered.sureness(record.TEST)}
    table = built.table
    labels, shown = {record.TEST: data.test.labels}, data.train
    pictures = dict[str, bytes]()
    if judged:
        linked |= split_metrics(record.VALID, judged.found)
        numbers |= judged.metrics
        pairs = pd.DataFrame(judged.disagreement, index=table["member"], columns=table["member"].astype(str))
        run.log_file(pairs.to_csv().encode(), f"{record.REPORTS}/disagreement.csv")
        pictures["members"] = figures.members(table, judged.found.accuracy, judged.disagreement)
        labels, shown = {record.VALID: judged.images.labels, **labels}, judged.images
    run.log_metrics({**linked, **numbers}, STEP, now)
    run.log_file(table.to_csv(index=False).encode(), f"{record.REPORTS}/{record.MEMBERS_TABLE}")
    run.log_file(json.dumps(spec.to_json(), ensure_ascii=False, indent=2).encode(), record.DATA_SPEC)
    run.log_note(_note(built, table, test, remarks))
    answered.log(run)
    pictures["samples"] = figures.samples(shown.pixels, shown.labels, spec)
    pictures["class_distribution"] = figures.class_distribution(labels, spec)
    for name, png in pictures.items():
        run.log_file(png, f"{record.FIGURES}/{name}.png")
    run.log_model(saved, STEP, linked, now)
    return test


def _note(built: Built, table: pd.DataFrame, test: Metrics, remarks: Sequence[str]) -> str:
    spec, judged = built.saved.spec, built.judgement
    rows = [
        (
            f"{row['member']}, `{row['run_id']}`",
            f"{row['arch']} s{row['seed']}",
            "" if pd.isna(row["weight"]) else f"{row['weight']:.3g}",
            *("" if pd.isna(row[of]) else f"{row[of]:.2%}" for of in ("valid_accuracy", "test_accuracy", "differs")),
        )
        for _, row in table.iterrows()
    ]
    header = ("member, run", "what", "weight", "valid accuracy", "test accuracy", "differs from the others")
    height, width = spec.shape
    more = "".join(f"\n\n{remark}" for remark in remarks)
    found, kept = UNJUDGED, ("", "")
    if judged:
        best = judged.members[judged.best_member].accuracy
        found = (
            f"On the {len(judged.images):,} images that no member was trained on: **{judged.found.accuracy:.2%}**, "
            f"{100 * judged.gain:+.2f} points over the best member ({best:.2%}); two members differ on "
            f"{judged.diversity:.2%} of them."
        )
        kept = ("`members`, ", "`disagreement`, ")
    return f"""{sample_warning(spec.name)}**{built.saved.config.arch}**: test accuracy \
**{test.accuracy:.2%}**, test loss {test.loss:.4f}.

{found} The test split was evaluated once.{more}

{markdown_table(header, rows)}

**Artifacts.** `figures/`: {kept[0]}`confusion_matrix`, `misclassified`, `samples`, `class_distribution`.
`reports/`: `members`, {kept[1]}`classification_report`, `per_class`, `confusions`, `predictions`. The model
takes raw pixels 0..255 of shape (N, {height}, {width}) and gives log-probabilities (N, {len(spec.classes)}).
"""
