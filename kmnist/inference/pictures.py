"""From a picture that someone took to what the network was trained on: light ink on dark, cropped, centred, 28 x 28.

In Kuzushiji-MNIST a character fills the frame: over the test images the longer side of the ink is 28 pixels for half of
them and at least 25 for 99 in 100, and its middle is that of the frame within a pixel.
"""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import NothingDrawn, PictureError

Gray = npt.NDArray[np.uint8]
SIDE = 28
LEAST_SIDE = 24  # of the ink in a training image, but for one in 200
FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 50_000_000  # a photograph has 12 to 50 million; a small file can claim to have billions
INK = 0.25  # of the darkest ink: what is fainter is paper, noise, or the blur at an edge


def read_picture(content: bytes, *, most_pixels: int = MOST_PIXELS) -> Gray:
    """Decode a PNG, JPEG or WebP of any mode and size into gray levels (H, W).

    What is transparent becomes paper: white under dark ink, black under light ink.

    Args:
        content: of the file.
        most_pixels: a picture that has more is refused before it is decoded.

    Raises:
        PictureError: it is none of these, damaged, truncated, or too large.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > most_pixels:
                raise PictureError(
                    f"{image.width} x {image.height} pixels: at most {most_pixels:,} are read; shrink it"
                )
            image.load()
            return _to_gray(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise PictureError(f"not a picture; {', '.join(FORMATS)} can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, EOFError) as error:
        raise PictureError(f"damaged picture ({str(error) or type(error).__name__})") from None


def to_kmnist(picture: Gray) -> Gray:
    """Bring a picture (H, W) of one character into the form of the training images, (28, 28).

    Raises:
        NothingDrawn: it is empty.
    """
    ink = _ink(picture)
    if ink.max() < 1:
        raise NothingDrawn("nothing is drawn on it")
    ink *= 255 / ink.max()
    strong = ink > INK * 255
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    if ink.shape == (SIDE, SIDE) and max(np.ptp(rows), np.ptp(columns)) + 1 >= LEAST_SIDE:
        return ink.round().astype(np.uint8)  # it fills the frame as the training images do: to scale it would blur it
    character = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = character.shape
    scale = SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = np.asarray(
        Image.fromarray(character.round().astype(np.uint8)).resize(
            size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        )
    )
    framed = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    framed[top : top + size[1], left : left + size[0]] = small
    return framed


def _ink(picture: Gray) -> npt.NDArray[np.float32]:
    """How much ink is on each pixel, whether it is lighter or darker than the paper; the paper is what the rim is."""
    levels = picture.astype(np.float32)
    rim = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    paper = float(np.median(rim))
    lighter, darker = np.clip(levels - paper, 0, None), np.clip(paper - levels, 0, None)
    ink: npt.NDArray[np.float32] = lighter if lighter.sum() > darker.sum() else darker
    return ink


def _to_gray(image: Image.Image) -> Gray:
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):  # PIL would cut 16 bits off at 255
        levels = np.asarray(image, np.float64)
        most = 65535 if levels.max() > 255 else 255
        return (np.clip(levels, 0, most) * (255 / most)).astype(np.uint8)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"), np.float64) / 255
        levels = np.asarray(rgba.convert("RGB").convert("L"), np.float64)
        ink = float((levels * alpha).sum() / max(alpha.sum(), 1e-9))
        paper = 255 if ink < 128 else 0
        return (levels * alpha + paper * (1 - alpha)).round().astype(np.uint8)
    return np.asarray(image.convert("L"))
