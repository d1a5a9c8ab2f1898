"""Elastic deformation (Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks", 2003)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Part

COARSE = 5  # points a side of the field that is drawn; between them it is smooth


def elastic(pixels: float, draw: Draw) -> Tensor:
    """A smooth random displacement of each pixel, of standard deviation ``pixels`` at the points that are drawn."""
    height, width = draw.shape
    coarse = draw.normal(2, COARSE, COARSE)
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)  # (B, 2, H, W)
    scale = torch.tensor([2 * pixels / width, 2 * pixels / height], device=field.device)
    return field.permute(0, 2, 3, 1) * scale


ELASTIC = Part(warp=elastic)
