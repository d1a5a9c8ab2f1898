"""Learning-rate schedules: pure functions of the share of the training that is done, so there is no state to keep.

Each gives the share of the peak learning rate. To add one: a function, in a file of its own or here, and a line in
``settings.SCHEDULES``.
"""

import math


def constant(done: float) -> float:
    """The peak, always."""
    return 1.0


def cosine(done: float) -> float:
    """From the peak to 0 along a cosine (Loshchilov and Hutter, https://arxiv.org/abs/1608.03983)."""
    return _along_cosine(1.0, 0.0, done)


def onecycle(done: float) -> float:
    """Up from 1/25 over the first 0.3, then down to 1/250,000 (Smith and Topin, https://arxiv.org/abs/1708.07120)."""
    if done < 0.3:
        return _along_cosine(1 / 25, 1.0, done / 0.3)
    return _along_cosine(1.0, 1 / 250_000, (done - 0.3) / 0.7)


def step(done: float) -> float:
    """The peak; a tenth of it from 1/2 on, a hundredth from 3/4 on."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def plateau(done: float) -> float:
    """The peak; :class:`kmnist.training.plateau.Plateau` lowers it when the validation loss no longer falls."""
    return 1.0


def _along_cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2
