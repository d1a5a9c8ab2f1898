"""From a photograph to its ink: uneven light, shadows, rough paper, specks, and what surrounds the paper are left out.

Paper is a surface, not a level. A grey closing fills everything dark that is narrower than its window, so it shows the
paper as it would be without dark ink, with light and shadow on it. A grey opening does the same for light ink (Serra,
"Image Analysis and Mathematical Morphology", 1982). Light multiplies, so the paper is divided out. What lies beyond the
picture's edge is taken to go on like the edge.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from ..errors import NothingDrawn
from .frames import find_inside
from .small import NOTHING_DRAWN

Levels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
COARSE_SIDE = 128  # pixels: enough to tell ink from paper, and to see lines
WINDOW = 0.33  # of the shorter side: wider than a stroke, and narrower than most shadows
WINDOWS = (0.15, WINDOW)  # the same, to tell ink from paper: thin ink beside shadows, and bold ink
WIDE_WINDOW, PART_OF_INK = 0.66, 0.25  # for bold ink, where so much less roughness a pixel of the longer side is left
SMOOTHING = 1.0  # pixels, against noise
DARKEST = 16.0  # levels, added before dividing: nothing real reflects less light, and zero cannot be divided by
NO_DARKER = 40.0  # levels, likewise: in the dark, noise would look rough
PAPER, FULL = 0.2, 0.9  # of the ink's own level: what is fainter is paper, what is darker is as dark as can be
LEAST = 0.01  # of the paper's level: what differs less is no ink
LEAST_PART, LEAST_AT_RIM = 0.02, 0.06  # of all ink: what is smaller is a speck, or the corner of a shadow


def find_ink(picture: Levels) -> npt.NDArray[np.uint8]:
    """How much ink is where, from 0 to 255.

    Args:
        picture: grey levels (H, W), of some hundred pixels a side.

    Returns:
        (H', W'): smaller where the picture shows a frame.

    Raises:
        NothingDrawn: it is empty.
    """
    smooth = ndimage.gaussian_filter(picture, SMOOTHING)
    coarse = _coarse(smooth)
    inside = find_inside(np.log(coarse + DARKEST))
    if inside is not None:
        smooth, coarse = inside.cut(smooth), inside.cut(coarse)
    dark_on_light = _is_dark_on_light(coarse)
    paper = _paper(smooth, _window(coarse, dark_on_light), dark_on_light)
    levels = np.abs(smooth - paper) / (paper + DARKEST)
    if levels.max() < LEAST:
        raise NothingDrawn(NOTHING_DRAWN)
    mask = levels > _otsu(levels)
    full = np.median(levels[mask])
    kept = ndimage.binary_dilation(_without_specks(mask), iterations=3)
    scaled = (levels / full - PAPER) / (FULL - PAPER)
    found = np.where(kept, scaled.clip(0, 1) * 255, 0).astype(np.float32)
    return found.round().astype(np.uint8)


def _coarse(picture: Levels) -> Levels:
    scale = max(picture.shape) / COARSE_SIDE
    if scale <= 1:
        return picture
    size = (max(round(picture.shape[1] / scale), 1), max(round(picture.shape[0] / scale), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _paper(picture: Levels, window: float, dark_on_light: bool) -> Levels:
    """The picture without ink, (H, W); ``window`` is a share of its shorter side."""
    half = max(int(min(picture.shape) * window) // 2, 1)
    fill, restore = ndimage.maximum_filter, ndimage.minimum_filter
    if not dark_on_light:
        fill, restore = restore, fill
    filled = fill(np.pad(picture, half, mode="edge"), 2 * half + 1, mode="nearest")
    return np.asarray(restore(filled, 2 * half + 1)[half:-half, half:-half], np.float32)


def _is_dark_on_light(picture: Levels) -> bool:
    """Whether the paper is lighter than the ink: of two surfaces that could be it, paper is the smoother one.

    The other one has the letter on it, in blocks.
    """
    light, dark = (sum(_roughness(_paper(picture, window, way)) for window in WINDOWS) for way in (True, False))
    return light <= dark


def _window(picture: Levels, dark_on_light: bool) -> float:
    """Wider than the strokes: with a window that is not, the paper keeps parts of them, and is much rougher."""
    usual = _roughness(_paper(picture, WINDOW, dark_on_light))
    least = PART_OF_INK * max(picture.shape)
    if usual < least:
        return WINDOW
    wide = _roughness(_paper(picture, WIDE_WINDOW, dark_on_light))
    return WIDE_WINDOW if usual - wide > least else WINDOW


def _roughness(surface: Levels) -> float:
    """The total variation of its logarithm: light multiplies."""
    surface = np.log(surface + NO_DARKER)
    return float(np.abs(np.diff(surface, axis=0)).sum() + np.abs(np.diff(surface, axis=1)).sum())


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
