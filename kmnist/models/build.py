"""From settings to a network."""

from collections import OrderedDict
from importlib import import_module

import torch
from torch import nn

from kmnist.data.spec import DataSpec
from kmnist.models.families import FAMILIES, NetSettings
from kmnist.models.normalise import Normalise


def build(settings: NetSettings, spec: DataSpec, *, seed: int = 0, normalise: nn.Module | None = None) -> nn.Module:
    """A network in training mode: raw pixels 0..255 (B, H, W), any dtype -> log-probabilities (B, classes).

    Args:
        settings: of its family.
        spec: of the data it is for: image shape and classes.
        seed: of its weights; torch's global generator is left as it was.
        normalise: its first layer; ``None``: pixels on the scale 0..1.
    """
    module, _, function = FAMILIES[settings.arch].network.partition(":")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = getattr(import_module(module), function)(settings, spec)
    return nn.Sequential(OrderedDict(normalise=normalise or Normalise(), network=network))
