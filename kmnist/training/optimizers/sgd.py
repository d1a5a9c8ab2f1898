"""Stochastic gradient descent with Nesterov's momentum."""

from torch import nn, optim

from kmnist.training.optimizers.groups import decay_groups


def sgd(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """Momentum 0.9."""
    groups = decay_groups(model.parameters(), weight_decay)
    return [optim.SGD(groups, learning_rate, fused=True, momentum=0.9, nesterov=True)]
