"""From predictions to numbers and tables. Knows neither models nor files.

``score`` gives the ``Metrics`` of a split: loss, accuracy, and those of ``METRICS``, one file each. ``tables`` has the
confusion matrix, scikit-learn's report and the tables. To add a metric: a file here and a line in ``METRICS``.
"""

from kmnist.metrics.score import METRICS, Metrics, score
from kmnist.metrics.tables import (
    Counts,
    classification_report,
    confusion_matrix,
    confusions_table,
    per_class_table,
    predictions_table,
)

__all__ = [
    "METRICS",
    "Counts",
    "Metrics",
    "classification_report",
    "confusion_matrix",
    "confusions_table",
    "per_class_table",
    "predictions_table",
    "score",
]
