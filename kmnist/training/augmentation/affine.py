"""Rotation, scaling, shear, translation, flip: maps of the plane, which are multiplied and applied at once."""

import math

import torch
from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Part


def _matrix(draw: Draw, rows: list[list[Tensor | float]]) -> Tensor:
    """(B, 2, 3) from its entries, each (B,) or the same for all."""
    whole = torch.zeros(draw.count, 2, 3, device=draw.generator.device)
    for row, entries in enumerate(rows):
        for column, entry in enumerate(entries):
            if isinstance(entry, Tensor) or entry:
                whole[:, row, column] = entry
    return whole


def rotation(degrees: float, draw: Draw) -> Tensor:
    """By up to ``degrees`` either way."""
    angle = draw.uniform() * math.radians(degrees)
    height, width = draw.shape
    sine, cosine, ratio = angle.sin(), angle.cos(), height / width
    return _matrix(draw, [[cosine, -sine * ratio, 0.0], [sine / ratio, cosine, 0.0]])


def scaling(share: float, draw: Draw) -> Tensor:
    """Width and height each by a factor from 1 / (1 + share) to 1 + share."""
    across, down = ((1 + share) ** draw.uniform() for _ in range(2))
    return _matrix(draw, [[across, 0.0, 0.0], [0.0, down, 0.0]])


def shear(share: float, draw: Draw) -> Tensor:
    """Rows against each other, by up to ``share`` of the height from top to middle."""
    return _matrix(draw, [[1.0, draw.uniform() * share, 0.0], [0.0, 1.0, 0.0]])


def translation(pixels: float, draw: Draw) -> Tensor:
    """By up to ``pixels`` in both directions."""
    height, width = draw.shape
    across, down = draw.uniform() * (2 * pixels / width), draw.uniform() * (2 * pixels / height)
    return _matrix(draw, [[1.0, 0.0, across], [0.0, 1.0, down]])


def flip(probability: float, draw: Draw) -> Tensor:
    """Left and right exchanged, in some of the images."""
    mirrored = draw.uniform() < 2 * probability - 1
    return _matrix(draw, [[1.0 - 2.0 * mirrored.float(), 0.0, 0.0], [0.0, 1.0, 0.0]])


ROTATION, SCALING, SHEAR = Part(affine=rotation), Part(affine=scaling), Part(affine=shear)
TRANSLATION, FLIP = Part(affine=translation), Part(affine=flip)
