"""The form of pictures, learnt from training images."""

import numpy as np

from kmnist.data.images import Pixels
from kmnist.data.spec import INK, KMNIST, WHOLE_PICTURE, PictureForm
from kmnist.pictures.look import Looks, look_at

AUTO = "auto"
KINDS = (AUTO, KMNIST, INK, WHOLE_PICTURE)
LOOKED_AT = 500  # pictures, evenly among all
ALIKE = 0.9  # of the pictures that must have paper of one level and ink of one polarity
MOST_SPREAD, MOST_APART = 24, 48  # levels: within a rim, and between the paper of pictures


def learn_form(pixels: Pixels, kind: str = AUTO) -> PictureForm:
    """How a picture is made to look like these.

    Characters have one level of paper at their rim, and ink of one polarity; other pictures are taken whole.

    Args:
        pixels: training images, (N, H, W).
        kind: one of KINDS.
    """
    if kind in (KMNIST, WHOLE_PICTURE) or not len(pixels):
        return PictureForm(kind if kind != AUTO else KMNIST)
    looks = look_at(pixels[:: max(len(pixels) // LOOKED_AT, 1)])
    if kind == AUTO and not _are_characters(looks):
        return PictureForm(WHOLE_PICTURE)
    drawn = looks.share > 0
    if not drawn.any():
        return PictureForm(WHOLE_PICTURE)
    off = [float(np.abs(where[drawn] - np.median(where[drawn], axis=0)).mean()) for where in (looks.box, looks.mass)]
    share = looks.share[drawn]
    return PictureForm(
        INK,
        dark_ink=bool(np.mean(looks.is_light[drawn]) < 0.5),
        share=float(np.median(share)),
        least_share=float(np.quantile(share, 0.005)),
        by_mass=off[1] < off[0],
    )


def _are_characters(looks: Looks) -> bool:
    same_paper = np.abs(looks.paper - np.median(looks.paper)) <= MOST_APART
    same_ink = looks.is_light == (np.mean(looks.is_light) >= 0.5)
    return bool(np.mean(same_paper & same_ink & (looks.spread <= MOST_SPREAD)) >= ALIKE)
