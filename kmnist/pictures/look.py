"""What pictures of characters look like, measured: the level of the paper, and where the ink is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .read import Gray

Floats = npt.NDArray[np.float64]
STRONG = 0.25  # of the strongest ink: what is fainter is paper, noise, or the blur at an edge


@dataclass(frozen=True)
class Looks:
    """Of N pictures.

    Attributes:
        paper: the middle level of the rim, (N,).
        spread: how far the levels of the rim lie from it, in the median, (N,).
        share: of the frame, that the longer side of the ink fills, (N,); 0 where there is no ink.
        box: where the middle of the ink's box is, from that of the frame, as a share of its sides, (N, 2).
        mass: the same of the ink's centre of mass.
        is_light: whether the ink is lighter than the paper, (N,).
    """

    paper: Floats
    spread: Floats
    share: Floats
    box: Floats
    mass: Floats
    is_light: npt.NDArray[np.bool_]


def look_at(pictures: Gray) -> Looks:
    """Measure pictures (N, H, W)."""
    count, height, width = pictures.shape
    rim = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    paper = np.median(rim, axis=1)
    spread = np.median(np.abs(rim - paper[:, None]), axis=1)
    off = pictures.astype(np.float32) - paper[:, None, None].astype(np.float32)
    is_light = off.reshape(count, -1).sum(axis=1) > 0
    ink = np.maximum(np.where(is_light[:, None, None], off, -off), 0)
    most = ink.reshape(count, -1).max(axis=1)
    strong = (ink > STRONG * most[:, None, None]) & (most >= 1)[:, None, None]
    (top, bottom), (left, right) = _ends(strong.any(axis=2)), _ends(strong.any(axis=1))
    share = np.maximum((bottom - top) / height, (right - left) / width)
    box = np.stack([(top + bottom) / 2 / height - 0.5, (left + right) / 2 / width - 0.5], axis=1)
    weights = np.maximum(ink.reshape(count, -1).sum(axis=1), 1e-9)
    down = (ink.sum(axis=2) @ ((np.arange(height) + 0.5) / height - 0.5)) / weights
    across = (ink.sum(axis=1) @ ((np.arange(width) + 0.5) / width - 0.5)) / weights
    return Looks(paper, spread, share, box, np.stack([down, across], axis=1), is_light)


def _ends(strong: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Where ink begins, and where it has ended, of each row of (N, L)."""
    there = strong.any(axis=1)
    first, last = strong.argmax(axis=1), strong.shape[1] - strong[:, ::-1].argmax(axis=1)
    return np.where(there, first, 0).astype(float), np.where(there, last, 0).astype(float)
