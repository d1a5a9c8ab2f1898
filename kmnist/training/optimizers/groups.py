"""Which weights decay."""

from collections.abc import Iterable
from typing import Any

from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameters as optimizers take them: matrices and kernels decay; biases, and the gains of norms, do not.

    They have one dimension. To pull them to 0 would not make the function simpler (Goyal et al.,
    https://arxiv.org/abs/1706.02677, section 5.3).
    """
    parameters = list(parameters)
    groups = [
        {"params": [weight for weight in parameters if weight.ndim > 1], "weight_decay": weight_decay},
        {"params": [weight for weight in parameters if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
