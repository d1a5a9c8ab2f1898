"""From numbers to pictures. Each function gives an image; none knows a model, a tracker or a tuner."""

from kmnist.figures.augmented import augmented
from kmnist.figures.confusion import confusion_matrix_image
from kmnist.figures.curves import learning_curves
from kmnist.figures.errors import misclassified
from kmnist.figures.members import members
from kmnist.figures.prediction import explanations
from kmnist.figures.prepared import prepared
from kmnist.figures.samples import class_distribution, samples
from kmnist.figures.seeds import seeds
from kmnist.figures.study import study_history

__all__ = [
    "augmented",
    "class_distribution",
    "confusion_matrix_image",
    "explanations",
    "learning_curves",
    "members",
    "misclassified",
    "prepared",
    "samples",
    "seeds",
    "study_history",
]
