"""From a config to a network."""

from collections.abc import Callable

import torch
from torch import nn

from kmnist.config import TrainConfig
from kmnist.models.mlp import mlp
from kmnist.models.normalise import Normalise

#: ``TrainConfig.arch`` -> what builds it from the config and the layer that normalises its pixels.
BUILDERS: dict[str, Callable[[TrainConfig, Normalise], nn.Module]] = {
    "plain": mlp,
    "dropout": mlp,
}


def build(config: TrainConfig, pixel_mean: float, pixel_std: float) -> nn.Module:
    """A network in training mode: raw pixels 0..255 of shape (N, 28, 28), any dtype -> log-probabilities (N, 10).

    The weights are drawn from ``config.seed``; torch's global generator is left as it was.

    Args:
        config: the settings.
        pixel_mean: mean of the training pixels on the scale 0..1; used with ``normalise=standard``.
        pixel_std: their standard deviation on the same scale.
    """
    standard = config.normalise == "standard"
    normalise = Normalise(pixel_mean, pixel_std) if standard else Normalise(0.0, 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        return BUILDERS[config.arch](config, normalise)
