"""Weights to begin a training with, from wherever ``init_from`` says."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kmnist.config import TrainConfig
from kmnist.errors import ModelError, SettingError, root_reason
from kmnist.extras import require
from kmnist.models.transfer import InitialWeights
from kmnist.models.transfer_settings import IMAGENET, NONE
from kmnist.registry.load import fetch_network


def fetch_initial(config: TrainConfig, *, tracking_uri: str | None = None) -> InitialWeights | None:
    """What ``config.init_from`` names, without pickle; ``None`` where it names nothing.

    Args:
        config: the settings.
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.

    Raises:
        SettingError: it cannot be had, or is no weights.
    """
    source = config.init_from
    if source == NONE:
        return None
    try:
        if source == IMAGENET:
            weights = _imagenet(config.arch)
        elif source.endswith(".safetensors") and Path(source).name != "checkpoint.safetensors":
            weights = load_file(source)
        else:
            weights = fetch_network(source, tracking_uri=tracking_uri).network.state_dict()
    except (ModelError, SafetensorError, OSError) as error:
        raise SettingError(f"init_from={source}: {error}") from error
    return InitialWeights(source, _digest(weights), weights)


def _imagenet(arch: str) -> Mapping[str, Tensor]:
    """torchvision's weights for ImageNet, under the names that they have in our networks; in grey."""
    from kmnist.models.families import TORCHVISION_NAMES
    from kmnist.models.torchvision_cpu import torchvision_module

    if arch not in TORCHVISION_NAMES:
        raise SettingError(
            f"init_from={IMAGENET}: arch={arch} is none of torchvision's; those are: {', '.join(TORCHVISION_NAMES)}"
        )
    require("vision", f"init_from={IMAGENET}")
    try:
        published = torchvision_module("models").get_model_weights(arch).DEFAULT
        weights: dict[str, Tensor] = published.get_state_dict(progress=False, weights_only=True)
    except Exception as error:  # its host is not there, or the file is not what it should be
        raise SettingError(
            f"init_from={IMAGENET}: the weights of {arch} cannot be had ({root_reason(error)})"
        ) from error
    first = next(name for name, weight in weights.items() if weight.ndim == 4)
    weights[first] = weights[first].sum(dim=1, keepdim=True)
    return {f"network.body.{name}": weight for name, weight in weights.items()}


def _digest(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
