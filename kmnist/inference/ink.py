"""From a photograph to its ink: uneven light, rough paper, specks and the edge of a desk are left out.

What is wider than any stroke is paper: a grey closing (or opening, for light ink) of the picture is the paper as it
would be without ink, shadow and gradient included, and the difference is ink. After Serra, "Image Analysis and
Mathematical Morphology" (1982); the threshold is Otsu's (https://doi.org/10.1109/TSMC.1979.4310076).
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import NothingDrawn
from .small import NOTHING_DRAWN

Levels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
WINDOW = 0.33  # of the shorter side: wider than a stroke, and narrower than most shadows
SMOOTHING = 1.0  # pixels, against noise
PAPER, FULL = 0.2, 0.9  # of the ink's own level: what is fainter is paper, what is darker is as dark as can be
EDGE, MOST_EDGE = 0.85, 0.15  # share of an edge that a desk covers; of the side, how far it reaches in at most
RIM = 0.05  # of the side, which is not looked at to tell ink from paper: there a desk may be
LEAST_PART, LEAST_AT_RIM = 0.02, 0.06  # of all ink: what is smaller is a speck, or the corner of a shadow


def find_ink(picture: Levels) -> npt.NDArray[np.uint8]:
    """How much ink is where, from 0 to 255.

    Args:
        picture: grey levels (H, W), of some hundred pixels a side.

    Returns:
        (H, W).

    Raises:
        NothingDrawn: it is empty.
    """
    smooth = ndimage.gaussian_filter(picture, SMOOTHING)
    window = max(int(min(picture.shape) * WINDOW) | 1, 3)
    paper = ndimage.grey_closing if _is_dark_on_light(smooth) else ndimage.grey_opening
    levels = np.abs(smooth - paper(smooth, (window, window)))
    if levels.max() < 1:
        raise NothingDrawn(NOTHING_DRAWN)
    mask = levels > _otsu(levels)
    full = np.median(levels[mask])
    kept = ndimage.binary_dilation(_without_specks(_without_desk(mask)), iterations=3)
    scaled = (levels / full - PAPER) / (FULL - PAPER)
    found = np.where(kept, scaled.clip(0, 1) * 255, 0).astype(np.float32)
    return found.round().astype(np.uint8)


def _is_dark_on_light(picture: Levels) -> bool:
    """By a plane through the rim, which is paper but for the end of a stroke: what lies off it is ink.

    In the middle of the picture the plane is as high as it is on average.
    """
    height, width = picture.shape
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    edges = [
        (picture[0], across, np.full(width, -1.0)),
        (picture[-1], across, np.full(width, 1.0)),
        (picture[:, 0], np.full(height, -1.0), down),
        (picture[:, -1], np.full(height, 1.0), down),
    ]
    planes = []
    for place in range(4):  # without one of the edges, for that may be a desk's
        levels, x, y = (np.concatenate(parts) for parts in zip(*(edges[:place] + edges[place + 1 :])))
        axes, weights = np.stack([np.ones_like(x), x, y], axis=1), np.ones_like(x)
        for _ in range(5):  # of iteratively reweighted least squares: the sum of distances, not of their squares
            plane, *_ = np.linalg.lstsq(axes * weights[:, None], levels * weights)
            off = np.abs(levels - axes @ plane)
            weights = 1 / np.sqrt(off + 1)
        planes.append((float(off.mean()), float(plane[0])))
    _, middle = min(planes)
    top, left = int(height * RIM), int(width * RIM)
    return bool(picture[top : height - top, left : width - left].mean() < middle)


def _otsu(levels: Levels) -> float:
    """The threshold that parts the levels into two groups that differ most."""
    counts, edges = np.histogram(levels, 128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between))])


def _without_desk(mask: Mask) -> Mask:
    """Without rows and columns at an edge that are all but full."""
    mask = mask.copy()
    for turn in range(4):
        view = np.rot90(mask, turn)
        shares = view[: max(int(len(view) * MOST_EDGE), 1)].mean(axis=1)
        if shares[0] > EDGE:
            full = shares > EDGE / 2
            view[: len(full) if full.all() else int(full.argmin())] = False
    return mask


def _without_specks(mask: Mask) -> Mask:
    """Without parts that are too small to be a stroke."""
    parts, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(parts.reshape(-1), minlength=count + 1)
    large = sizes >= LEAST_PART * sizes[1:].sum()
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        large[edge] &= sizes[edge] >= LEAST_AT_RIM * sizes[1:].sum()
    large[0] = False
    kept: Mask = large[parts]
    return kept if kept.any() else mask
