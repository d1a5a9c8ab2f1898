"""From numbers to pictures. Each function gives an image; none knows a model, a tracker or a tuner."""

from kmnist.figures.prediction import explanations
from kmnist.figures.study import (
    study_curves,
    study_history,
    study_importances,
    study_parallel,
    study_slices,
    study_timeline,
)
from kmnist.figures.training import (
    class_distribution,
    confusion,
    confusion_image,
    learning_curves,
    misclassified,
    samples,
)

__all__ = [
    "class_distribution",
    "confusion",
    "confusion_image",
    "explanations",
    "learning_curves",
    "misclassified",
    "samples",
    "study_curves",
    "study_history",
    "study_importances",
    "study_parallel",
    "study_slices",
    "study_timeline",
]
