"""The first layer of every network: raw pixels in, normalised floats out."""

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """(pixels / 255 - mean) / std, as one product and one sum.

    It lives inside the network so that whoever loads a model needs to know nothing of the data it was trained on.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1 / (255 * std)))
        self.register_buffer("shift", torch.tensor(-mean / std))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255 of any dtype and shape -> float32 of the same shape."""
        return pixels * self.scale + self.shift
