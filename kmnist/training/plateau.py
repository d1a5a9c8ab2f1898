"""Reduce on plateau: the one schedule that listens to the validation loss, and so has a state."""

import torch
from torch import Tensor

PATIENCE = 3  # epochs without a better loss, after which the rate falls
FACTOR = 0.2
BETTER = 0.999  # of the best loss: what is not below it counts as no better


class Plateau:
    """By how much the learning rate is lowered."""

    def __init__(self) -> None:
        self.share, self._best, self._waited = 1.0, float("inf"), 0

    def epoch_ended(self, valid_loss: float) -> None:
        """Take the validation loss of an epoch."""
        if valid_loss < self._best * BETTER:
            self._best, self._waited = valid_loss, 0
            return
        self._waited += 1
        if self._waited >= PATIENCE:
            self.share, self._waited = self.share * FACTOR, 0

    def state(self) -> Tensor:
        """All of it as (3,), float64."""
        return torch.tensor([self.share, self._best, self._waited], dtype=torch.float64)

    def load(self, state: Tensor) -> None:
        """Go back to what :meth:`state` gave."""
        self.share, self._best, waited = state.tolist()
        self._waited = int(waited)
