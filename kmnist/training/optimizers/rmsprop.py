"""RMSprop (Tieleman and Hinton, 2012), for which torch has no fused kernel on a CPU."""

from torch import optim

from kmnist.training.optimizers import Parameters


def rmsprop(parameters: Parameters, learning_rate: float, weight_decay: float) -> optim.Optimizer:
    """With torch's defaults."""
    return optim.RMSprop(parameters, learning_rate, weight_decay=weight_decay)
