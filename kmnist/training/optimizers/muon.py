"""Muon (Jordan et al., https://kellerjordan.github.io/posts/muon): momentum whose steps are orthogonal matrices."""

from typing import Any

import torch
from torch import Tensor, nn, optim

from kmnist.training.optimizers.groups import decay_groups


def muon(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """Muon for the hidden matrices and the kernels of convolutions, AdamW for the rest and for the last layer.

    Its steps are scaled to be as large as AdamW's, so that one learning rate serves both.
    """
    hidden = [weight for weight in model.parameters() if weight.ndim > 1][:-1]
    hidden = [weight for weight in hidden if weight.requires_grad and not hasattr(weight, "rate_share")]
    chosen = {id(weight) for weight in hidden}
    rest = [weight for weight in model.parameters() if id(weight) not in chosen]
    made: list[optim.Optimizer] = [optim.AdamW(decay_groups(rest, weight_decay), learning_rate, fused=True)]
    if hidden:
        made.append(Matrices(hidden, learning_rate, weight_decay))
    return made


class Matrices(optim.Muon):
    """torch's Muon, which takes matrices only, over kernels (out, in, h, w) seen as matrices (out, in * h * w)."""

    def __init__(self, weights: list[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        self._pairs = [(weight, nn.Parameter(as_matrix(weight.data))) for weight in weights]
        matrices = [matrix for _, matrix in self._pairs]
        super().__init__(matrices, learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step of the matrices, whose memory is that of the kernels."""
        for weight, matrix in self._pairs:
            matrix.grad = None if weight.grad is None else as_matrix(weight.grad, like=weight)
        return super().step(closure)  # type: ignore[no-untyped-call]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Of the kernels, where gradients arrive."""
        for weight, _ in self._pairs:
            weight.grad = None


def as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """A view (out, the rest) of a weight, whatever the order of its memory; ``like``: in that of another."""
    channels_last = (weight if like is None else like).is_contiguous(memory_format=torch.channels_last)
    if weight.ndim == 4 and channels_last:
        return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return weight.reshape(len(weight), -1)
