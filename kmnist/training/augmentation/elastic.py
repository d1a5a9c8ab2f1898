"""Elastic deformation (Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks", 2003)."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Part

COARSE = 5  # points a side of the field that is drawn; between them it is smooth


def elastic(pixels: float, draw: Draw) -> Tensor:
    """A smooth random displacement of each pixel, of standard deviation ``pixels`` at the points that are drawn."""
    height, width = draw.shape
    coarse = draw.normal(2, COARSE, COARSE)
    down, across = (_smooth(size).to(coarse.device) for size in (height, width))
    field = down @ coarse @ across.T  # (B, 2, H, W)
    scale = torch.tensor([2 * pixels / width, 2 * pixels / height], device=field.device)
    return field.permute(0, 2, 3, 1) * scale


@cache
def _smooth(size: int) -> Tensor:
    """(size, COARSE): bicubic interpolation as a matrix, which is ten times as fast as torch's kernel for it."""
    unit = torch.eye(COARSE)[None, None]
    weights: Tensor = F.interpolate(unit, (size, COARSE), mode="bicubic", align_corners=True)[0, 0]
    return weights


ELASTIC = Part(warp=elastic)
