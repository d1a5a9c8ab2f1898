"""Multilayer perceptrons: the report's ``Classifier`` and ``ClassifierWithDropout``."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from kmnist.data.spec import DataSpec
from kmnist.models.mlp_settings import DropoutSettings, PlainSettings


def plain(settings: PlainSettings, spec: DataSpec) -> nn.Module:
    """H * W -> each of ``hidden`` with ReLU -> classes."""
    return _mlp(spec, settings.hidden, settings.batch_norm, dropout=0.0)


def dropout(settings: DropoutSettings, spec: DataSpec) -> nn.Module:
    """The same with dropout after each hidden layer."""
    return _mlp(spec, settings.hidden, settings.batch_norm, settings.dropout)


def _mlp(spec: DataSpec, hidden: Sequence[int], batch_norm: bool, dropout: float) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())  # (B, H * W)
    for number, (inputs, outputs) in enumerate(pairwise((prod(spec.shape), *hidden)), start=1):
        layers[f"fc{number}"] = nn.Linear(inputs, outputs)
        if batch_norm:
            layers[f"norm{number}"] = nn.BatchNorm1d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
    layers[f"fc{len(hidden) + 1}"] = nn.Linear(hidden[-1], len(spec.classes))
    layers["log_softmax"] = nn.LogSoftmax(dim=1)  # (B, classes)
    return nn.Sequential(layers)
