"""From pictures to predictions. Knows no training and no registry: it is handed a network.

``pictures`` brings a picture into the form of the training images, ``sources`` finds pictures in files and folders,
``classifier`` predicts, ``explain`` shows what spoke for an answer.
"""

from .classifier import Classifier, Predictions
from .pictures import read_picture, to_kmnist

__all__ = ["Classifier", "Predictions", "read_picture", "to_kmnist"]
