"""Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980) and AdamW (https://arxiv.org/abs/1711.05101)."""

from torch import nn, optim

from kmnist.training.optimizers.groups import decay_groups


def adam(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """Adam; the decay is part of the gradient."""
    return [optim.Adam(decay_groups(model.parameters(), weight_decay), learning_rate, fused=True)]


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """Adam with the decay apart from the gradient."""
    return [optim.AdamW(decay_groups(model.parameters(), weight_decay), learning_rate, fused=True)]
