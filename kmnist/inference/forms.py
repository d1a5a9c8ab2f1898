"""From a picture that someone took to what the training images of a data set look like, whichever they are."""

import numpy as np

from ..data.spec import KMNIST, WHOLE_PICTURE, DataSpec, PictureForm
from ..errors import NothingDrawn, PictureError
from ..pictures.look import look_at
from ..pictures.read import Gray, resized
from .pictures import WORKED_SIDE, cropped, ink_of, is_photograph, to_kmnist
from .small import NOTHING_DRAWN, frame, ink_levels

CLEAN, CLEAN_SHARE = 8, 95  # levels that so many in 100 pixels of the rim differ by at most
SMALLER = 0.95  # of the least share of the training images: what fills less of its frame is framed anew


def prepare_picture(picture: Gray, spec: DataSpec, *, raw: bool = False) -> Gray:
    """Make a picture (H, W) look as the training images of ``spec`` do.

    Args:
        picture: gray levels.
        spec: of the data; its ``form`` says how.
        raw: take it as it is: it must have the shape of the training images.

    Returns:
        (H, W) of ``spec.shape``.

    Raises:
        NothingDrawn: it is empty.
        PictureError: it is to be taken as it is, and has another shape.
    """
    if raw:
        return _raw(picture, spec.shape)
    if spec.form.kind == KMNIST:
        return to_kmnist(picture, spec.shape)
    if not picture.size:
        raise NothingDrawn(f"{picture.shape[1]} x {picture.shape[0]} pixels: there is nothing to see")
    if spec.form.kind == WHOLE_PICTURE:
        return resized(picture, spec.shape)
    return _as_ink(picture, spec.shape, spec.form)


def _as_ink(picture: Gray, shape: tuple[int, int], form: PictureForm) -> Gray:
    if picture.shape == shape and _looks_as(picture, form):
        return picture  # to scale it would blur it
    if is_photograph(picture.shape, shape) and not _is_clean(picture):
        ink = ink_of(picture)
    else:
        picture = _reduced(picture)
        levels, drawn = ink_levels(picture[None])
        if not drawn[0]:
            raise NothingDrawn(NOTHING_DRAWN)
        ink = levels[0].round().astype(np.uint8)[picture]
    framed = _placed(cropped(ink), shape, form)
    return 255 - framed if form.dark_ink else framed


def _reduced(picture: Gray) -> Gray:
    """No larger than is worked on."""
    scale = max(picture.shape) / WORKED_SIDE
    if scale <= 1:
        return picture
    height, width = (max(round(side / scale), 1) for side in picture.shape)
    return resized(picture, (height, width))


def _is_clean(picture: Gray) -> bool:
    """Whether its paper has one level all around: it was drawn or scanned, and what is on it may be filled."""
    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(np.float32)
    return bool(np.percentile(np.abs(rim - np.median(rim)), CLEAN_SHARE) <= CLEAN)


def _looks_as(picture: Gray, form: PictureForm) -> bool:
    looks = look_at(picture[None])
    return bool(looks.is_light[0] != form.dark_ink and looks.share[0] >= SMALLER * form.least_share)


def _placed(character: Gray, shape: tuple[int, int], form: PictureForm) -> Gray:
    """Ink, scaled to its share of the frame, and put into its middle."""
    inner = tuple(min(max(round(side * form.share), 1), side) for side in shape)
    small = frame(character, (inner[0], inner[1]))
    placed = np.zeros(shape, np.uint8)
    at = [(side - within) // 2 for side, within in zip(shape, inner)]
    if form.by_mass:
        for axis in (0, 1):
            weights = small.sum(axis=1 - axis, dtype=np.float64)
            middle = float(np.average(np.arange(inner[axis]) + 0.5, weights=weights))
            at[axis] = min(max(round(shape[axis] / 2 - middle), 0), shape[axis] - inner[axis])
    placed[at[0] : at[0] + inner[0], at[1] : at[1] + inner[1]] = small
    return placed


def _raw(picture: Gray, shape: tuple[int, int]) -> Gray:
    if picture.shape != shape:
        height, width = shape
        raise PictureError(f"{picture.shape[1]} x {picture.shape[0]} pixels: raw pictures must be {width} x {height}")
    return picture
