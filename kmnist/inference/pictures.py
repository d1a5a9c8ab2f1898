"""From a picture that someone took to what the network was trained on: light ink on dark, cropped, centred, small.

In Kuzushiji-MNIST a character fills the frame: over the test images the longer side of the ink is 28 pixels for half of
them and at least 25 for 99 in 100, and its middle is that of the frame within a pixel.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import NothingDrawn
from ..pictures.read import Gray
from .ink import find_ink
from .small import INK, NOTHING_DRAWN, frame, prepare_small

PHOTOGRAPH_SIDE = 63  # pixels: a smaller picture was cut out and cleaned by somebody
WORKED_SIDE = 320  # pixels to which a photograph is reduced before its ink is looked for


def to_kmnist(picture: Gray, shape: tuple[int, int] = (28, 28)) -> Gray:
    """Bring a picture (H, W) of one character into the form of the training images, which have another ``shape``.

    It takes a byte or two for each pixel, however large the picture is.

    Raises:
        NothingDrawn: it is empty.
    """
    if not picture.size:
        raise NothingDrawn(f"{picture.shape[1]} x {picture.shape[0]} pixels: there is nothing to see")
    if is_photograph(picture.shape, shape):
        return frame(cropped(ink_of(picture)), shape)
    images, drawn = prepare_small(picture[None], shape)
    if not drawn[0]:
        raise NothingDrawn(NOTHING_DRAWN)
    image: Gray = images[0]
    return image


def is_photograph(picture: tuple[int, ...], shape: tuple[int, int]) -> bool:
    """Whether a picture of this shape is larger than what somebody cut out and cleaned, the training images too."""
    return min(picture) > max(PHOTOGRAPH_SIDE, *shape)


def ink_of(photograph: Gray) -> Gray:
    """How much ink is where on a photograph: (H, W), at most 320 pixels a side, 0 (paper) to 255 (ink).

    Light, shadows, frames and specks are left out, and it does not matter whether the ink is dark or light.

    Raises:
        NothingDrawn: it is empty.
    """
    return find_ink(_reduced(photograph))


def cropped(ink: Gray) -> Gray:
    """The rectangle around the ink (H, W), 0..255.

    Raises:
        NothingDrawn: there is none.
    """
    strong = ink > INK * 255
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if not len(rows):
        raise NothingDrawn(NOTHING_DRAWN)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _reduced(picture: Gray) -> npt.NDArray[np.float32]:
    """So large that strokes are seen, and no larger."""
    scale = max(picture.shape) / WORKED_SIDE
    if scale <= 1:
        return picture.astype(np.float32)
    size = (max(round(picture.shape[1] / scale), 1), max(round(picture.shape[0] / scale), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX), np.float32)
