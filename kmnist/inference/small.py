"""Many small pictures of one size at once: what was cut out and cleaned by somebody, and has one level of paper.

A picture comes out the same, to the last bit, whether it is alone or among others.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..pictures.read import Gray

NOTHING_DRAWN = "nothing is drawn on it"
LEAST_SHARE = 24 / 28  # of its frame that the ink of a training image fills, but for one in 200
INK = 0.25  # of the darkest ink: what is fainter is paper, noise, or the blur at an edge


def prepare_small(pictures: Gray, shape: tuple[int, int]) -> tuple[Gray, npt.NDArray[np.bool_]]:
    """Bring pictures (N, H, W) into the form of the training images, which have another ``shape``.

    Returns:
        (N, *shape), and (N,): whether anything is drawn on it; if not, it is black.
    """
    levels, drawn = ink_levels(pictures)
    first = np.argmax(levels > INK * 255, axis=1).astype(np.uint8)  # levels in a row: up to black, or up to white
    last = 255 - np.argmax(levels[:, ::-1] > INK * 255, axis=1).astype(np.uint8)
    strong = (pictures >= first[:, None, None]) & (pictures <= last[:, None, None])
    top, bottom = _ends(strong.any(axis=2))
    left, right = _ends(strong.any(axis=1))
    tables = levels.round().astype(np.uint8)  # (N, 256)
    framed = np.zeros((len(pictures), *shape), np.uint8)
    whole = np.zeros(len(pictures), np.bool_)
    if pictures.shape[1:] == shape:  # if it fills the frame as the training images do, to scale it would blur it
        fills = np.maximum((bottom - top + 1) / shape[0], (right - left + 1) / shape[1])
        whole = drawn & (fills >= LEAST_SHARE)
        places = pictures[whole].astype(np.intp) + 256 * whole.nonzero()[0][:, None, None]
        framed[whole] = np.take(tables, places)
    for at in (drawn & ~whole).nonzero()[0]:
        character = pictures[at, top[at] : bottom[at] + 1, left[at] : right[at] + 1]
        framed[at] = frame(np.take(tables[at], character), shape)
    return framed, drawn


def frame(character: Gray, shape: tuple[int, int]) -> Gray:
    """What was cut out, scaled to the frame, and put in its middle."""
    height, width = character.shape
    scale = min(shape[0] / height, shape[1] / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.asarray(
        Image.fromarray(character).resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    framed = np.zeros(shape, np.uint8)
    top, left = (shape[0] - size[1]) // 2, (shape[1] - size[0]) // 2
    framed[top : top + size[1], left : left + size[0]] = small
    return framed


def ink_levels(pictures: Gray) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """How much ink each of the 256 gray levels of a picture stands for, 0 to 255, (N, 256); and whether there is any.

    Ink may be lighter or darker than the paper, which is what the rim is.
    """
    count, flat = len(pictures), pictures.reshape(len(pictures), -1)
    rim = np.concatenate([pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]], axis=1)
    rim.sort(axis=1)  # np.median would take longer than all the rest
    middle = rim.shape[1] // 2
    paper = ((rim[:, middle - 1, None] + rim[:, middle, None].astype(np.float32)) / 2).astype(np.float32)
    is_light = flat.sum(axis=1, dtype=np.int64) > flat.shape[1] * paper[:, 0].astype(np.float64)
    above = np.arange(256, dtype=np.float32) - paper
    ink = np.maximum(np.where(is_light[:, None], above, -above), np.float32(0))
    most = ink[np.arange(count), np.where(is_light, flat.max(axis=1), flat.min(axis=1))]
    drawn = most >= 1
    return np.minimum(ink * (255 / np.where(drawn, most, np.float32(1)))[:, None], np.float32(255)), drawn


def _ends(strong: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first and the last place that has ink, of each row of (N, L)."""
    return strong.argmax(axis=1), strong.shape[1] - 1 - strong[:, ::-1].argmax(axis=1)
