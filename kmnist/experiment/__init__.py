"""One run of an experiment, from settings to a finished model. Knows no tracker: it talks to a ``Run``."""

from kmnist.experiment.results import Result
from kmnist.experiment.run import NullRun, Run
from kmnist.experiment.splits import Splits, prepare
from kmnist.experiment.train import train

__all__ = ["NullRun", "Result", "Run", "Splits", "prepare", "train"]
