"""Weights from elsewhere, and what becomes of them: where a training begins, apart from its network's structure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kmnist.errors import SettingError
from kmnist.models.transfer_settings import NONE

SHOWN = 5  # tensors, in a message


@dataclass(frozen=True)
class InitialWeights:
    """Weights to begin with.

    Attributes:
        source: where they are from, as the user gave it.
        digest: SHA-256 over them.
        weights: by their names in the network.
    """

    source: str
    digest: str
    weights: Mapping[str, Tensor]


def load_initial(model: nn.Module, initial: InitialWeights) -> list[str]:
    """Copy into ``model`` what fits.

    Its last layer may have other classes, and then keeps the weights it was given; so does what normalises pixels,
    where ``initial`` has none of ours.

    Returns:
        The names of the weights that were taken.

    Raises:
        SettingError: other weights are missing or of another shape; the message says which, and their shapes.
    """
    own = model.state_dict()
    last = last_layer(model)
    fitting = [name for name, weight in own.items() if name in initial.weights and _same_shape(weight, initial, name)]
    problems = [
        f"{name}: {_shape(initial.weights.get(name))} there, {tuple(weight.shape)} here"
        for name, weight in own.items()
        if name not in fitting and not name.startswith((last, "normalise."))
    ]
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise SettingError(
            f"init_from={initial.source}: its weights do not fit ({'; '.join(problems[:SHOWN])}{more}); "
            "give the architecture and the settings that it was trained with"
        )
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(initial.weights[name])
    return fitting


def freeze(model: nn.Module, layers: str) -> None:
    """Let no training change the weights of some layers.

    Args:
        model: the network.
        layers: names, comma-separated, as in the network: ``conv1`` or ``body.layer1``; or ``none``.

    Raises:
        SettingError: a name is that of no layer with weights, or nothing would be left to train.
    """
    if layers == NONE:
        return
    for layer in (part.strip() for part in layers.split(",")):
        prefix = f"network.{layer}."
        of_layer = [weight for name, weight in model.named_parameters() if name.startswith(prefix)]
        if not of_layer:
            raise SettingError(f"freeze={layer}: the network has no such layer; it has: {', '.join(stages(model))}")
        for weight in of_layer:
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise SettingError(f"freeze={layers}: nothing is left to train; freeze fewer layers")


def lower_rate(model: nn.Module, names: Iterable[str], share: float) -> None:
    """Let some weights learn at a share of the learning rate: optimizers read it where they make their groups."""
    parameters = dict(model.named_parameters())
    for name in names:
        if name in parameters:
            parameters[name].rate_share = share  # type: ignore[attr-defined]


def set_training(model: nn.Module) -> None:
    """Training mode, but for layers whose weights are all frozen: a norm among them keeps its statistics, too."""
    model.train()
    for layer in model.modules():
        own = list(layer.parameters(recurse=False))
        if own and not any(weight.requires_grad for weight in own):
            layer.eval()


def stages(model: nn.Module) -> list[str]:
    """The layers with weights, in order, as ``freeze`` takes them."""
    names = [name.removeprefix("network.").rpartition(".")[0] for name, _ in model.named_parameters()]
    return list(dict.fromkeys(names))


def last_layer(model: nn.Module) -> str:
    """The name of the layer that gives the classes, with a dot."""
    return [name for name, _ in model.named_parameters()][-1].rpartition(".")[0] + "."


def _same_shape(weight: Tensor, initial: InitialWeights, name: str) -> bool:
    return weight.shape == initial.weights[name].shape


def _shape(weight: Tensor | None) -> str:
    return "missing" if weight is None else str(tuple(weight.shape))
