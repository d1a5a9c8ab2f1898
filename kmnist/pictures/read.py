"""From the bytes of a picture to its gray levels."""

import os
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import PictureError
from .formats import READABLE, formats_of
from .limits import MOST_BYTES, MOST_PIXELS, check_content, check_opened

Gray = npt.NDArray[np.uint8]
LARGE, LARGE_SIDE = 16_000_000, 1_500  # of a picture, in pixels; and what a JPEG that is larger is reduced to
TILE_SIDE = 500  # pixels worked on at once, where each takes more than a byte
WHITES = (1, *(2**bits - 1 for bits in (8, 10, 12, 14, 16)))  # of pictures of whole numbers
WHITES_OF_FLOATS = (1, 255)
OVERSHOOT = 0.1  # of white: so far resampling may bring floats beyond black and white
READ = 65_536  # bytes
COLOURED = {"RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}  # Pillow's modes


def read_picture(content: bytes, *, most_pixels: int = MOST_PIXELS) -> Gray:
    """Decode a picture of any mode and size into gray levels (H, W); of one that moves, the first frame.

    PNG, JPEG, WebP, GIF, BMP and TIFF; AVIF with Pillow 11.3, HEIC with ``pillow-heif``. What is transparent becomes
    paper: white under dark ink, black under light ink.

    Args:
        content: of the file.
        most_pixels: a picture that has more is refused before it is decoded.

    Raises:
        PictureError: it is none of these, damaged, truncated, or too large, or the library for it is missing.
    """
    return read_with_mode(content, most_pixels)[0]


def read_with_mode(content: bytes, most_pixels: int = MOST_PIXELS) -> tuple[Gray, str]:
    """As :func:`read_picture`, with Pillow's mode of the file: it is in colour where that is one of ``COLOURED``."""
    check_content(content)
    try:
        with Image.open(BytesIO(content), formats=formats_of(content)) as image:
            check_opened(image, content, most_pixels)
            if image.width * image.height > LARGE:
                image.draft("L", (LARGE_SIDE, LARGE_SIDE))  # a JPEG is reduced while it is decoded; no other is
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _to_gray(image), image.mode
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError(f"not a picture; {READABLE} can be read") from None
    except Exception as error:  # decoders raise whatever the bytes provoke: OSError, SyntaxError, struct.error, ...
        raise PictureError(f"damaged picture ({str(error) or type(error).__name__})") from None


def read_file(path: str) -> bytes:
    """The content of a file, up to one byte more than a picture may have.

    ``Path.read_bytes`` takes twice as long, and so do buffered files.

    Raises:
        OSError: it cannot be read.
        ValueError: its name is none.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        content = os.read(descriptor, READ)
        if len(content) < READ:
            return content + os.read(descriptor, READ)
        parts, size = [content], len(content)
        while content and size <= MOST_BYTES:
            content = os.read(descriptor, READ)
            parts.append(content)
            size += len(content)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def quiet_decoders() -> None:
    """Pillow and numpy warn of what they read all the same, and of what is refused here, with a message, too."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", "Reading `.npy` or `.npz`")


def resized(picture: Gray, size: tuple[int, int]) -> Gray:
    """A picture (H, W) brought to another size; its proportions become those of the frame."""
    if picture.shape == size:
        return picture
    smaller = size[0] * size[1] < picture.size
    way = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), way))


def _to_gray(image: Image.Image) -> Gray:
    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):  # PIL would cut 16 bits off at 255
        return _reduced_to_8_bits(image)
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        return _on_paper(image)
    return np.asarray(image.convert("L"))


def _reduced_to_8_bits(image: Image.Image) -> Gray:
    least, most = np.inf, -np.inf
    for box in _tiles(image):
        levels = np.asarray(image.crop(box), np.float64)
        levels = levels[np.isfinite(levels)]
        least, most = min(least, float(levels.min(initial=np.inf))), max(most, float(levels.max(initial=-np.inf)))
    black, white = _black_and_white(least, most, image.mode == "F")

    def scaled(tile: Image.Image) -> npt.NDArray[np.float64]:
        return (np.nan_to_num(np.asarray(tile, np.float64)).clip(black, white) - black) * (255 / (white - black))

    return _by_tiles(image, scaled)


def _black_and_white(least: float, most: float, is_float: bool) -> tuple[float, float]:
    """The range that levels from ``least`` to ``most`` are in: a usual one, or their own where they fit none."""
    over = OVERSHOOT if is_float else 0
    for white in WHITES_OF_FLOATS if is_float else WHITES:
        if least >= -over * most and most <= (1 + over) * white:
            return 0.0, float(white)
    return (least, most) if least < most else (0.0, 1.0)


def _on_paper(image: Image.Image) -> Gray:
    """Transparent ink on paper of the other colour."""

    def split(tile: Image.Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        rgba = tile.convert("RGBA")
        return np.asarray(rgba.convert("L"), np.float64), np.asarray(rgba.getchannel("A"), np.float64) / 255

    sums = [
        ((levels * alpha).sum(), alpha.sum()) for levels, alpha in (split(image.crop(box)) for box in _tiles(image))
    ]
    weighted, weights = np.sum(sums, axis=0)
    paper = 255 if weighted / max(weights, 1e-9) < 128 else 0

    def compose(tile: Image.Image) -> npt.NDArray[np.float64]:
        levels, alpha = split(tile)
        return (levels * alpha + paper * (1 - alpha)).round()

    return _by_tiles(image, compose)


def _by_tiles(image: Image.Image, function: Callable[[Image.Image], npt.NDArray[np.float64]]) -> Gray:
    """Every tile's gray levels, put together: floating point for a whole photograph would take gigabytes."""
    whole = np.empty((image.height, image.width), np.uint8)
    for left, top, right, bottom in _tiles(image):
        whole[top:bottom, left:right] = function(image.crop((left, top, right, bottom)))
    return whole


def _tiles(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    for top in range(0, image.height, TILE_SIDE):
        for left in range(0, image.width, TILE_SIDE):
            yield left, top, min(left + TILE_SIDE, image.width), min(top + TILE_SIDE, image.height)
