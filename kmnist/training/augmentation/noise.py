"""Noise of the paper and of the scan."""

from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Part


def noise(images: Tensor, grey_levels: float, draw: Draw) -> Tensor:
    """Gaussian, of its own in each pixel; what leaves 0..255 is cut off."""
    return (images + grey_levels * draw.normal(1, *draw.shape)).clamp(0, 255)


NOISE = Part(paint=noise)
