"""Multilayer perceptrons: the report's ``Classifier`` and ``ClassifierWithDropout``."""

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from kmnist.config import TrainConfig
from kmnist.kana import CLASSES
from kmnist.models.normalise import Normalise


def mlp(config: TrainConfig, normalise: Normalise) -> nn.Module:
    """784 -> ``config.hidden`` with ReLU (and dropout after each, where its probability is not 0) -> 10."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalise=normalise, flatten=nn.Flatten())  # (B, 784)
    for number, (inputs, outputs) in enumerate(pairwise((28 * 28, *config.hidden)), start=1):
        layers[f"fc{number}"] = nn.Linear(inputs, outputs)
        layers[f"relu{number}"] = nn.ReLU()
        if config.dropout:
            layers[f"dropout{number}"] = nn.Dropout(config.dropout)
    layers[f"fc{len(config.hidden) + 1}"] = nn.Linear(config.hidden[-1], CLASSES)
    layers["log_softmax"] = nn.LogSoftmax(dim=1)  # (B, 10)
    return nn.Sequential(layers)
