"""Adam (Kingma and Ba, https://arxiv.org/abs/1412.6980) and AdamW (https://arxiv.org/abs/1711.05101)."""

from torch import optim

from kmnist.training.optimizers import Parameters


def adam(parameters: Parameters, learning_rate: float, weight_decay: float) -> optim.Optimizer:
    """Adam; the decay is part of the gradient."""
    return optim.Adam(parameters, learning_rate, fused=True, weight_decay=weight_decay)


def adamw(parameters: Parameters, learning_rate: float, weight_decay: float) -> optim.Optimizer:
    """Adam with the decay apart from the gradient."""
    return optim.AdamW(parameters, learning_rate, fused=True, weight_decay=weight_decay)
