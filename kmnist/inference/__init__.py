"""From pictures to predictions: a closed package, of which every model carries a copy.

It knows no training and no registry: it is handed a network and a ``DataSpec``. ``pictures`` brings a picture into the
form of the training images, ``classifier`` predicts, ``serving`` answers over HTTP. It imports nothing of ours but
``errors`` and ``data.spec``, and those relatively: its copies have another name.
"""

from .classifier import Classifier, Predictions
from .pictures import read_picture, to_kmnist

__all__ = ["Classifier", "Predictions", "read_picture", "to_kmnist"]
