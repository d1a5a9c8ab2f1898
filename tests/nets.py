"""Networks and trainings for tests: pixels normalised by round numbers, one thread."""

from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from kmnist.config import TrainConfig
from kmnist.data import Dataset, DataSpec
from kmnist.data.kmnist import SPEC
from kmnist.data.sample import draw_dataset
from kmnist.experiment import Result, Run, Splits
from kmnist.experiment import train as train_experiment
from kmnist.metrics import Metrics
from kmnist.models.build import build
from kmnist.models.normalise import Normalise
from kmnist.training.compute import Compute
from kmnist.training.fit import Epoch

ONE_THREAD = Compute()  # on the CPU, in fp32


@cache
def drawn_images(**counts: int) -> Dataset:
    """The drawn data set, which is drawn once in a process."""
    return draw_dataset(**counts)


def network(config: TrainConfig, spec: DataSpec = SPEC) -> nn.Module:
    """The network of some settings."""
    return build(config.net, spec, seed=config.seed, normalise=Normalise(0.2, 0.3))


def train(config: TrainConfig, splits: Splits, run: Run, folder: Path, **options: Any) -> Result:
    """A training on one thread, with the drawn test images that the tests' fixture ``drawn`` has."""
    test = drawn_images(train=600, test=200).test
    return train_experiment(config, splits, test, run, folder, **{"threads": 1, **options})


def on_valid(epoch: Epoch) -> Metrics:
    """An epoch's numbers on the validation images that it had."""
    assert epoch.valid is not None
    return epoch.valid
