"""Cutout (DeVries and Taylor, https://arxiv.org/abs/1708.04552): a part of the image is missing."""

import torch
from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Part


def cutout(images: Tensor, side: float, draw: Draw) -> Tensor:
    """A square of ``side`` pixels around a random pixel becomes paper; at the rim a part of it lies outside."""
    return images * ~square(draw, torch.full((draw.count,), side, device=images.device))


def square(draw: Draw, sides: Tensor) -> Tensor:
    """Which pixels lie in a square around a random pixel, bool (B, 1, H, W).

    Args:
        draw: random numbers.
        sides: of each image's square, in pixels, (B,).
    """
    inside = []
    for axis, size in enumerate(draw.shape):
        centre = (draw.uniform() + 1) / 2 * size
        places = torch.arange(size, device=sides.device) + 0.5
        within = (places - centre[:, None]).abs() < sides[:, None] / 2  # (B, size)
        inside.append(within[:, None, :, None] if axis == 0 else within[:, None, None, :])
    return inside[0] & inside[1]


CUTOUT = Part(paint=cutout)
