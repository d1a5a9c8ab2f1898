"""Stochastic gradient descent with Nesterov's momentum."""

from torch import optim

from kmnist.training.optimizers import Parameters


def sgd(parameters: Parameters, learning_rate: float, weight_decay: float) -> optim.Optimizer:
    """Momentum 0.9."""
    return optim.SGD(parameters, learning_rate, fused=True, momentum=0.9, nesterov=True, weight_decay=weight_decay)
