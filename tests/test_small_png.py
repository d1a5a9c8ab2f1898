"""Small gray PNGs by OpenCV: the same pixels as Pillow's, or none at all."""

import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kmnist.errors import PictureError
from kmnist.inference import read_picture
from kmnist.pictures.read import Gray
from kmnist.pictures.small_png import BEGIN, END, read_small_png
from tests.test_hostile_pictures import png_chunk
from tests.test_pictures import encoded

pytest.importorskip("cv2")


def by_pillow(content: bytes) -> Gray | None:
    try:
        return read_picture(content)
    except PictureError:
        return None


def changed(content: bytes, chance: random.Random) -> bytes:
    """Another size, another byte, an end too soon: in a frame that is right."""
    width, height = chance.choice([(28, 28), (28, 28), (27, 28), (28, 29), (56, 14), (1, 1), (0, 5), (64, 65)])
    data = bytearray(content[41:-16])
    match chance.randrange(3):
        case 0:
            rows = bytearray(zlib.decompress(data))
            rows[chance.randrange(len(rows))] = chance.randrange(256)
            data = bytearray(zlib.compress(rows))
        case 1:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        case _:
            data = data[: chance.randrange(len(data))]
    head = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    return BEGIN[:8] + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", bytes(data)) + END


def test_what_is_read_is_what_pillow_reads(capfd: pytest.CaptureFixture[str]) -> None:
    chance, levels = random.Random(0), np.random.default_rng(0)
    read = 0
    for _ in range(500):
        whole = encoded(Image.fromarray(levels.integers(0, 256, (28, 28), np.uint8)), "PNG")
        for content in (whole, changed(whole, chance)):
            if (ours := read_small_png(content)) is not None:
                theirs = by_pillow(content)
                assert theirs is not None
                assert np.array_equal(ours, theirs)
                read += 1
    assert 540 < read < 900
    assert capfd.readouterr() == ("", "")  # libpng would write there


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.new("RGB", (28, 28)), "PNG"),
        encoded(Image.new("L", (65, 28)), "PNG"),
        encoded(Image.new("L", (28, 28)), "PNG", transparency=0),
        encoded(Image.new("L", (28, 28)), "PNG", exif=Image.Exif()) + b"\0",
        encoded(Image.new("I;16", (28, 28)), "PNG"),
        encoded(Image.new("L", (28, 28)), "JPEG"),
        BEGIN + END,
        b"",
    ],
)
def test_all_else_is_left_to_pillow(content: bytes) -> None:
    assert read_small_png(content) is None
