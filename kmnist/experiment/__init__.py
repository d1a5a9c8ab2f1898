"""One run of an experiment, from settings to a finished model. Knows no tracker: it talks to a ``Run``."""

from kmnist.experiment.results import Result
from kmnist.experiment.run import NullRun, Run
from kmnist.experiment.splits import Splits, prepare
from kmnist.experiment.train import OnEpoch, Trained, TrainOptions, train, train_epochs

__all__ = [
    "NullRun",
    "OnEpoch",
    "Result",
    "Run",
    "Splits",
    "TrainOptions",
    "Trained",
    "prepare",
    "train",
    "train_epochs",
]
