"""Mixup (Zhang et al., https://arxiv.org/abs/1710.09412) and cutmix (Yun et al., https://arxiv.org/abs/1905.04899)."""

import torch
from torch import Tensor

from kmnist.training.augmentation.cutout import square
from kmnist.training.augmentation.parts import Draw, Mix, Part


def mixup(images: Tensor, alpha: float, draw: Draw) -> tuple[Tensor, Mix]:
    """Each image is a weighted mean of itself and another; the larger weight is its own."""
    mix = _partners(alpha, draw)
    share = mix.share[:, None, None, None]
    return images * share + images[mix.partner] * (1 - share), mix


def cutmix(images: Tensor, alpha: float, draw: Draw) -> tuple[Tensor, Mix]:
    """A square of each image is another's; the label follows the area that was really exchanged."""
    mix = _partners(alpha, draw)
    height, width = draw.shape
    mask = square(draw, ((1 - mix.share) * height * width).sqrt())
    return torch.where(mask, images[mix.partner], images), Mix(mix.partner, 1 - mask.float().mean(dim=(1, 2, 3)))


def _partners(alpha: float, draw: Draw) -> Mix:
    """Who is mixed with whom, and how much of it stays: the larger part of a draw from Beta(alpha, alpha)."""
    device = draw.generator.device
    partner = torch.randperm(draw.count, generator=draw.generator, device=device)
    gammas = torch._standard_gamma(torch.full((2, draw.count), alpha, device=device), generator=draw.generator)
    share = gammas[0] / gammas.sum(dim=0).clamp(min=1e-20)
    return Mix(partner, torch.maximum(share, 1 - share))


MIXUP, CUTMIX = Part(blend=mixup), Part(blend=cutmix)
