"""The parts that are switched on, put together."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kmnist.training.augmentation.parts import Draw, Mix, Part
from kmnist.training.augmentation.settings import PARTS, AugmentSettings


class Augmentation:
    """What is done to the training images.

    All maps of the plane and displacements are applied in one sampling of the images, so that they are blurred once.

    Args:
        settings: which parts, and how strong.
    """

    def __init__(self, settings: AugmentSettings) -> None:
        strengths = {name: float(getattr(settings, name)) for name in PARTS}
        self._parts: list[tuple[Part, float]] = [(PARTS[name], x) for name, x in strengths.items() if x > 0]

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._parts)

    def __call__(self, pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, list[Mix]]:
        """Change a batch.

        Args:
            pixels: (B, H, W), any dtype, 0..255.
            generator: on the same device.

        Returns:
            Images (B, H, W), float32, and how the labels follow, for each part that mixed images.
        """
        images = pixels[:, None].float()  # (B, 1, H, W)
        draw = Draw(len(images), (images.shape[2], images.shape[3]), generator)
        images = self._moved(images, draw)
        mixes = []
        for part, strength in self._parts:
            if part.paint:
                images = part.paint(images, strength, draw)
            if part.blend:
                images, mix = part.blend(images, strength, draw)
                mixes.append(mix)
        return images[:, 0], mixes

    def _moved(self, images: Tensor, draw: Draw) -> Tensor:
        matrices = [part.affine(strength, draw) for part, strength in self._parts if part.affine]
        warps = [part.warp(strength, draw) for part, strength in self._parts if part.warp]
        if not matrices and not warps:
            return images
        whole = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
        for matrix in matrices:
            whole = _square(matrix) @ whole
        grid = sources(whole[:, :2], draw.shape)
        for warp in warps:
            grid = grid + warp
        return F.grid_sample(images, grid, align_corners=False)


def sources(matrices: Tensor, shape: tuple[int, int]) -> Tensor:
    """Where each pixel of the new images comes from, (B, H, W, 2), on the scale -1..1.

    What ``torch.nn.functional.affine_grid`` gives, in a product of another shape, which a CPU does 20 times as fast.

    Args:
        matrices: (B, 2, 3).
        shape: (H, W).
    """
    height, width = shape
    down, across = ((torch.arange(size, device=matrices.device) * 2 + 1) / size - 1 for size in shape)  # centres
    rows, columns = torch.meshgrid(down, across, indexing="ij")
    points = torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)  # (3, H * W)
    found: Tensor = (matrices @ points).transpose(1, 2).unflatten(1, (height, width))
    return found


def _square(matrix: Tensor) -> Tensor:
    """(B, 2, 3) -> (B, 3, 3)."""
    last = torch.tensor([0.0, 0.0, 1.0], device=matrix.device).expand(len(matrix), 1, 3)
    return torch.cat([matrix, last], dim=1)


def mixed_loss(log_probabilities: Tensor, labels: Tensor, mixes: list[Mix]) -> Tensor:
    """Negative log-likelihood, (B,), of labels that follow mixed images.

    Args:
        log_probabilities: (B, C).
        labels: (B,), of the images before they were mixed.
        mixes: in the order in which it was done.
    """
    targets = F.one_hot(labels, log_probabilities.shape[1]).to(log_probabilities.dtype)  # (B, C)
    for mix in mixes:
        share = mix.share[:, None]
        targets = targets * share + targets[mix.partner] * (1 - share)
    return -(targets * log_probabilities).sum(dim=1)
