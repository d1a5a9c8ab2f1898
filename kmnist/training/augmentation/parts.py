"""What a part of the augmentation may do to a batch of images; each is handed what it needs, and no more.

All take a strength, a :class:`Draw` to take random numbers from, and work on every image for itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """Random numbers for one batch.

    Attributes:
        count: of images.
        shape: (H, W).
        generator: where they come from; on the device of the images.
    """

    count: int
    shape: tuple[int, int]
    generator: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """From -1 to 1, (count, *shape)."""
        return torch.rand(self.count, *shape, generator=self.generator, device=self.generator.device) * 2 - 1

    def normal(self, *shape: int) -> Tensor:
        """Of deviation 1, (count, *shape)."""
        return torch.randn(self.count, *shape, generator=self.generator, device=self.generator.device)


@dataclass(frozen=True)
class Mix:
    """How labels follow images that were mixed: with ``share`` of its own, else of image ``partner``.

    Attributes:
        partner: (B,), places in the batch.
        share: (B,), 0..1.
    """

    partner: Tensor
    share: Tensor


#: -> (B, 2, 3): where, on the scale -1..1, a pixel of the new image comes from; parts are multiplied into one matrix.
Affine: TypeAlias = Callable[[float, Draw], Tensor]
#: -> (B, H, W, 2): by how much, on the same scale, it comes from elsewhere.
Warp: TypeAlias = Callable[[float, Draw], Tensor]
#: (B, 1, H, W) -> the same.
Paint: TypeAlias = Callable[[Tensor, float, Draw], Tensor]
#: (B, 1, H, W) -> the same, and how the labels follow.
Blend: TypeAlias = Callable[[Tensor, float, Draw], tuple[Tensor, Mix]]


@dataclass(frozen=True)
class Part:
    """One function, under the name of what it does."""

    affine: Affine | None = None
    warp: Warp | None = None
    paint: Paint | None = None
    blend: Blend | None = None
