"""Labelled images and what a network says of them, as numbers, tables and figures; a test split, or any pictures."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from kmnist import figures, metrics, record
from kmnist.calibration import Calibration, LogProbabilities
from kmnist.data import DataSpec, Images
from kmnist.experiment.run import Run


@dataclass(frozen=True)
class Answered:
    """Images with their classes, and the answers.

    Attributes:
        title: what was answered for, and by what.
        images: of N.
        spec: what the C classes are.
        log_probabilities: (N, C), as the network gives them.
        calibration: of these.
    """

    title: str
    images: Images
    spec: DataSpec
    log_probabilities: LogProbabilities
    calibration: Calibration

    @property
    def predicted(self) -> metrics.Counts:
        """The class of each image, (N,)."""
        return np.asarray(self.log_probabilities.argmax(axis=1), np.int64)

    @property
    def confusion(self) -> metrics.Counts:
        """(C, C)."""
        return metrics.confusion_matrix(self.images.labels, self.predicted, len(self.spec.classes))

    @property
    def thresholds(self) -> dict[str, float]:
        """What the probabilities are calibrated by, and below which an answer is unsure, as metrics."""
        return {record.TEMPERATURE: self.calibration.temperature, record.UNSURE_BELOW: self.calibration.unsure_below}

    def sureness(self, split: str) -> dict[str, float]:
        """The share of unsure answers, and how often the others are right (where there are any), as metrics."""
        sure = ~self.calibration.unsure(self.images.pixels, self.calibration.apply(self.log_probabilities))
        right = (self.predicted == self.images.labels)[sure]
        found = {record.metric(split, record.UNSURE): 1 - float(sure.mean())}
        return found | ({record.metric(split, record.SURE): float(right.mean())} if len(right) else {})

    def log(self, run: Run) -> None:
        """Log the tables, and what FIGURES names."""
        for name, text in _reports(self).items():
            run.log_file(text.encode(), f"{record.REPORTS}/{name}")
        for name, draw in FIGURES.items():
            run.log_file(draw(self), f"{record.FIGURES}/{name}.png")


def _reports(answered: Answered) -> dict[str, str]:
    actual, predicted, spec = answered.images.labels, answered.predicted, answered.spec
    text, numbers = metrics.classification_report(actual, predicted, spec)
    tables = {
        "per_class.csv": metrics.per_class_table(actual, predicted, spec),
        "predictions.csv": metrics.predictions_table(actual, answered.log_probabilities, spec),
        "confusions.csv": metrics.confusions_table(answered.confusion, spec),
    }
    return {
        "classification_report.txt": text,
        "classification_report.json": json.dumps(numbers, indent=2),
        **{name: table.to_csv(index=False, float_format="%.6g") for name, table in tables.items()},
    }


def _confusion_matrix(answered: Answered) -> bytes:
    share = float((answered.predicted == answered.images.labels).mean())
    content = BytesIO()
    title = f"{answered.title}: accuracy {share:.2%}"
    figures.confusion_matrix_image(answered.confusion, answered.spec, title).save(content, "png")
    return content.getvalue()


def _misclassified(answered: Answered) -> bytes:
    images, probabilities = answered.images, np.exp(answered.log_probabilities)
    return figures.misclassified(images.pixels, images.labels, probabilities, answered.spec)


#: Name of the PNG -> what draws it. To add a figure of answers: a function in ``kmnist/figures/`` and a line here.
FIGURES: dict[str, Callable[[Answered], bytes]] = {
    "confusion_matrix": _confusion_matrix,
    "misclassified": _misclassified,
}
