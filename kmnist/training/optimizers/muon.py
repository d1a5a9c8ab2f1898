"""Muon (Jordan et al., https://kellerjordan.github.io/posts/muon): momentum whose steps are orthogonal matrices."""

import math

import torch
from torch import Tensor, nn, optim

from kmnist.training.compute import resolve_precision
from kmnist.training.optimizers.groups import decay_groups

#: A quintic whose repetition takes singular values towards 1 fast, and ends somewhere near (Jordan et al.).
COEFFICIENTS = 3.4445, -4.775, 2.0315
REPETITIONS = 5
MOMENTUM = 0.95


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
        made.append(Muon(hidden, learning_rate, weight_decay))
    return made


class Muon(optim.Optimizer):
    """What ``torch.optim.Muon`` does to matrices, for kernels (out, in, h, w) too: matrices (out, in * h * w) here.

    torch's takes matrices only, and always multiplies in bf16, for which a processor without such units takes 12 to 18
    times as long (``experiments/benchmarks/optimizers.py``).

    Args:
        weights: of two or more dimensions.
        learning_rate: of a step whose elements are as large as AdamW's (Liu et al., https://arxiv.org/abs/2502.16982).
        weight_decay: apart from the gradient; a share of the learning rate.
    """

    def __init__(self, weights: list[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": learning_rate, "weight_decay": weight_decay})
        fast = resolve_precision("auto", weights[0].device)
        self._multiplied_in = torch.bfloat16 if fast == "bf16" else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # nobody has a closure here
        """A step of those weights that have a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group["lr"], group["weight_decay"])

    def _move(self, weight: nn.Parameter, of: Tensor, learning_rate: float, weight_decay: float) -> None:
        matrix, gradient = as_matrix(weight), as_matrix(of, like=weight)
        state = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum = state["momentum_buffer"]
        momentum.lerp_(gradient, 1 - MOMENTUM)
        step = orthogonal(gradient.lerp(momentum, MOMENTUM).to(self._multiplied_in))  # Nesterov's
        matrix.mul_(1 - learning_rate * weight_decay)
        matrix.add_(step, alpha=-learning_rate * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1, by Newton and Schulz's iteration.

    In the precision of ``matrix``; of the two Gramians the small one is used.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if tall else matrix
    wide = wide / wide.norm().clamp(min=1e-7)  # no singular value above 1
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(REPETITIONS):
        gramian = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gramian, gramian, gramian, beta=cubic, alpha=quintic), wide, beta=linear)
    return wide.T if tall else wide


def as_matrix(weight: Tensor, like: Tensor | None = None) -> Tensor:
    """A view (out, the rest) of a weight, whatever the order of its memory; ``like``: in that of another."""
    channels_last = (weight if like is None else like).is_contiguous(memory_format=torch.channels_last)
    if weight.ndim == 4 and channels_last:
        return weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return weight.reshape(len(weight), -1)
