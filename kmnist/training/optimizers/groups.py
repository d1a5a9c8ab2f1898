"""Which weights decay, and which learn at a share of the rate."""

from collections.abc import Iterable
from typing import Any

from torch import nn


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameters as optimizers take them: matrices and kernels decay; biases, and the gains of norms, do not.

    Those have one dimension. To pull them to 0 would not make the function simpler (Goyal et al.,
    https://arxiv.org/abs/1706.02677, section 5.3). Frozen weights are left out.
    """
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for weight in parameters:
        if weight.requires_grad:
            groups.setdefault((weight.ndim > 1, getattr(weight, "rate_share", 1.0)), []).append(weight)
    return [
        {"params": weights, "weight_decay": weight_decay if decays else 0.0, "rate_share": share}
        for (decays, share), weights in sorted(groups.items(), key=lambda group: group[0], reverse=True)
    ]
