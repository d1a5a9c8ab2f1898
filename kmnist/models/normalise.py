"""The first layer of every network: raw pixels in, normalised floats out.

It lives inside the network so that whoever loads a model needs to know nothing of the data it was trained on.
"""

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """(pixels / 255 - mean) / std, as one product and one sum."""

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1 / (255 * std)))
        self.register_buffer("shift", torch.tensor(-mean / std))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255 of any dtype and shape -> float32 of the same shape."""
        return pixels * self.scale + self.shift


class NormaliseEach(nn.Module):
    """Each image to mean 0 and deviation 1: how dark the ink is, is left out of account."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, H, W) of any dtype -> float32 (B, H, W)."""
        levels = pixels.float()
        mean, std = levels.mean(dim=(1, 2), keepdim=True), levels.std(dim=(1, 2), keepdim=True)
        return (levels - mean) / (std + 1.0)  # a grey level: an empty image stays empty


def normalisation(kind: str, mean: float = 0.0, std: float = 1.0) -> nn.Module:
    """The layer for ``normalise=kind``.

    Args:
        kind: ``unit`` (0..1), ``standard`` or ``each``.
        mean: of the training pixels on the scale 0..1, for ``standard``.
        std: their standard deviation on the same scale.
    """
    match kind:
        case "each":
            return NormaliseEach()
        case "standard":
            return Normalise(mean, std)
        case _:
            return Normalise()
