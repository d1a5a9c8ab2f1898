"""Networks for tests, with pixels normalised by round numbers."""

from torch import nn

from kmnist.config import TrainConfig
from kmnist.data import DataSpec
from kmnist.data.kmnist import SPEC
from kmnist.models.build import build
from kmnist.models.normalise import Normalise
from kmnist.training.compute import Compute

ONE_THREAD = Compute()  # on the CPU, in fp32


def network(config: TrainConfig, spec: DataSpec = SPEC) -> nn.Module:
    """The network of some settings."""
    return build(config.net, spec, seed=config.seed, normalise=Normalise(0.2, 0.3))
