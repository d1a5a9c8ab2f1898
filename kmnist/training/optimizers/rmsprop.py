"""RMSprop (Tieleman and Hinton, 2012), for which torch has no fused kernel on a CPU."""

from torch import nn, optim

from kmnist.training.optimizers.groups import decay_groups


def rmsprop(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """With torch's defaults."""
    return [optim.RMSprop(decay_groups(model.parameters(), weight_decay), learning_rate)]
