"""From any picture to the form of the training images."""

import sys
from contextlib import suppress
from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from experiments.benchmarks.photographs import PHOTOGRAPHS, as_bytes, prepared
from experiments.benchmarks.photographs import drawn as on_paper
from experiments.benchmarks.rooms import FAMILIES
from kmnist.data import Dataset
from kmnist.errors import NothingDrawn, PictureError
from kmnist.inference import read_picture, to_kmnist
from kmnist.inference.small import frame, prepare_small
from kmnist.pictures import formats

Gray = npt.NDArray[np.uint8]


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    content = BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


@pytest.fixture
def glyph(drawn: Dataset) -> Gray:
    """Light on dark, 28 x 28, and as large as the frame."""
    large = np.asarray(Image.fromarray(drawn.test.pixels[3]).resize((140, 140), Image.Resampling.BICUBIC))
    return to_kmnist(large)


def near(one: Gray, other: Gray) -> float:
    """Correlation of two pictures."""
    return float(np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1])


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_read(mode: str, glyph: Gray) -> None:
    gray = Image.fromarray(glyph)
    if mode == "I;16":
        image = Image.fromarray(glyph.astype(np.uint16) * 257)
    else:
        image = gray.convert("RGB").convert(mode) if mode == "CMYK" else gray.convert(mode)
    form = "JPEG" if mode == "CMYK" else "PNG"
    read = read_picture(encoded(image, form))
    assert read.shape == (28, 28)
    assert read.dtype == np.uint8
    assert near(read, glyph) > (0.8 if mode in ("1", "CMYK") else 0.999)


@pytest.mark.parametrize("ink", [0, 255])
def test_what_is_transparent_becomes_paper(ink: int, glyph: Gray) -> None:
    drawing = np.full((28, 28, 4), ink, np.uint8)
    drawing[..., 3] = glyph
    assert near(to_kmnist(read_picture(encoded(Image.fromarray(drawing)))), glyph) > 0.97


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_every_format_is_read(form: str, glyph: Gray) -> None:
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    assert near(read_picture(encoded(Image.fromarray(glyph), form)), glyph) > 0.95


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_of_a_picture_that_moves_the_first_frame_is_read(form: str, glyph: Gray) -> None:
    frames = [Image.fromarray(glyph), Image.fromarray(255 - glyph)]
    assert near(read_picture(encoded(frames[0], form, save_all=True, append_images=frames[1:])), glyph) > 0.95


@pytest.mark.parametrize(("brand", "library"), [(b"heic", "pip install pillow-heif"), (b"avif", "'pillow>=11.3'")])
def test_a_library_that_is_missing_is_named(brand: bytes, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(features, "check", lambda name: False)
    formats.reads_heic.cache_clear()
    with pytest.raises(PictureError, match=library):
        read_picture(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand)
    formats.reads_heic.cache_clear()


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint16])
def test_numbers_of_a_measuring_camera_are_levels(kind: type[np.generic], glyph: Gray) -> None:
    levels = glyph.astype(kind) / kind(255) if kind is np.float32 else glyph.astype(kind)
    picture = read_picture(encoded(Image.fromarray(levels), "TIFF"))
    assert near(picture, glyph) > 0.999
    if kind is np.float32:
        holes = np.where(glyph > 0, levels, np.nan).astype(kind)
        assert near(read_picture(encoded(Image.fromarray(holes), "TIFF")), glyph) > 0.999


@pytest.mark.parametrize(
    ("kind", "scale", "shift"),
    [
        (np.float32, 1.001 / 255, 0),  # a rounding error above 1
        (np.float32, 270 / 255, -8),  # resampled, which overshoots on both sides
        (np.float32, 2 / 255, -1),  # normalised to -1..1
        (np.float32, 1_000_000, 0),
        (np.float32, 65_535 / 255, 0),
        (np.uint16, 1_023 / 255, 0),  # 10 bits
        (np.uint16, 4_095 / 255, 0),
        (np.uint16, 65_535 / 255, 0),
        (np.int32, 1_000_000, -70_000),
    ],
)
def test_white_is_what_the_range_of_the_levels_says(
    kind: type[np.generic], scale: float, shift: float, glyph: Gray
) -> None:
    levels = (glyph * np.float64(scale) + shift).astype(kind)
    picture = read_picture(encoded(Image.fromarray(levels), "TIFF"))
    assert len(np.unique(picture)) > 0.8 * len(np.unique(glyph))
    assert near(to_kmnist(picture), glyph) > 0.995


def test_a_dark_picture_of_many_bits_keeps_its_levels(glyph: Gray) -> None:
    dark = (glyph * (200 / 255)).astype(np.uint16) * 4  # of 10 bits, and without any white
    assert len(np.unique(read_picture(encoded(Image.fromarray(dark), "PNG")))) > 0.5 * len(np.unique(glyph))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_no_reason_to_lose_the_others(odd: float, glyph: Gray) -> None:
    levels = glyph.astype(np.float32)
    levels[0, 0] = odd
    assert near(read_picture(encoded(Image.fromarray(levels), "TIFF")), glyph) > 0.97


def test_a_photograph_is_turned_as_its_camera_was_held(glyph: Gray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = Image.fromarray(np.rot90(glyph).copy())
    assert near(read_picture(encoded(turned, "PNG", exif=exif)), glyph) == pytest.approx(1)


def test_a_training_image_stays_as_it_is(drawn: Dataset) -> None:
    framed = np.stack([to_kmnist(image) for image in drawn.test.pixels[:50]])
    again = np.stack([to_kmnist(image) for image in framed])
    assert np.abs(again.astype(int) - framed).mean() < 1


def test_images_of_a_data_set_are_no_photographs_however_large(drawn: Dataset) -> None:
    large = np.kron(drawn.test.pixels[0], np.ones((3, 3), np.uint8))  # (84, 84)
    framed = to_kmnist(large, (84, 84))
    assert np.array_equal(to_kmnist(framed, (84, 84)), framed)


def one_at_a_time(picture: Gray) -> Gray:
    """What a small picture is meant to become, level by level."""
    levels = np.arange(256, dtype=np.float32)
    paper = np.float32(np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))
    lighter, darker = np.clip(levels - paper, 0, None), np.clip(paper - levels, 0, None)
    counts = np.bincount(picture.reshape(-1), minlength=256)
    ink = lighter if counts @ lighter > counts @ darker else darker
    most = ink[counts > 0].max()
    if most < 1:
        raise NothingDrawn
    ink = np.minimum(ink * (255 / most), np.float32(255))
    strong = ink[picture] > 0.25 * 255
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    drawn: Gray = ink.round().astype(np.uint8)[picture]
    if picture.shape == (28, 28) and max(np.ptp(rows), np.ptp(columns)) + 1 >= 24:
        return drawn
    return frame(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], (28, 28))


def test_many_at_once_become_what_each_becomes_alone(drawn: Dataset) -> None:
    chance = np.random.default_rng(0)
    pictures = drawn.test.pixels
    kinds = [
        pictures,
        255 - pictures,
        (pictures * 0.4 + 60).astype(np.uint8),
        np.roll(pictures, 9, axis=2),
        np.pad(pictures, ((0, 0), (3, 9), (20, 2))),
        pictures[:, 4:5, :9],
        np.where(chance.random(pictures.shape) < 0.003, 200, 17).astype(np.uint8),
        *(chance.integers(0, most, pictures.shape, np.uint8) for most in (2, 3, 255)),
    ]
    for many in kinds:
        images, is_drawn = prepare_small(many, (28, 28))
        for picture, image, there in zip(many, images, is_drawn):
            try:
                expected: Gray | None = one_at_a_time(picture)
            except NothingDrawn:
                expected = None
            assert there == (expected is not None)
            if expected is not None:
                assert np.array_equal(image, expected)
                assert np.array_equal(to_kmnist(picture), expected)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("size", "top", "left"), [(200, 0, 0), (200, 40, 10), (56, 7, 30), (28, 3, 5)])
def test_size_place_and_polarity_do_not_matter(dark: bool, size: int, top: int, left: int, glyph: Gray) -> None:
    large = np.asarray(Image.fromarray(glyph).resize((size, size), Image.Resampling.BICUBIC))
    picture = np.zeros((size + 60, size + 60), np.uint8)
    picture[top : top + size, left : left + size] = large
    picture = (picture * 0.7 + 20).astype(np.uint8)  # faint ink on paper that is not quite black
    assert near(to_kmnist(255 - picture if dark else picture), glyph) > 0.9


def test_one_line_of_ink_is_drawn_thin_not_wide() -> None:
    picture = np.zeros((100, 100), np.uint8)
    picture[20:80, 50] = 255
    framed = to_kmnist(picture)
    assert framed.shape == (28, 28)
    assert (framed.sum(axis=0) > 0).sum() <= 2


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_is_told(level: int) -> None:
    with pytest.raises(PictureError, match="nothing is drawn"):
        to_kmnist(np.full((50, 50), level, np.uint8))


def test_what_is_no_picture_is_told(glyph: Gray) -> None:
    whole = encoded(Image.fromarray(glyph).resize((200, 200)))
    for content, message in [
        (b"", "not a picture; PNG, JPEG, WEBP, GIF, BMP, TIFF, AVIF, HEIC can be read"),
        (b"P5 28 28 255 " + b"\0" * 784, "not a picture"),
        (b"%PDF-1.4 " + whole, "not a picture"),  # two things at once
        (whole[: len(whole) // 2], "damaged picture"),
    ]:
        with pytest.raises(PictureError, match=message):
            read_picture(content)
    with pytest.raises(PictureError, match=r"200 x 200 pixels: at most 39,999 are read; shrink it"):
        read_picture(whole, most_pixels=39_999)


def test_a_small_file_that_claims_to_be_huge_is_not_unpacked() -> None:
    bomb = encoded(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    with pytest.raises(PictureError, match="pixels"):
        read_picture(bomb)


@settings(max_examples=200)
@given(st.data())
def test_damaged_bytes_are_read_or_told(data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP"]))
    content = bytearray(encoded(Image.fromarray(np.eye(28, dtype=np.uint8) * 200), form))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(PictureError):  # and nothing else
        assert read_picture(bytes(content)).ndim == 2


@pytest.mark.parametrize("kind", [kind for kind in PHOTOGRAPHS if not kind.startswith("turned")])
def test_a_photograph_shows_the_same_character_as_a_clean_page(kind: str, drawn: Dataset) -> None:
    chance = np.random.default_rng(0)
    pages = [on_paper(image) for image in drawn.test.pixels[:20]]
    clean = [to_kmnist(as_bytes(page)) for page in pages]
    seen = [prepared(as_bytes(PHOTOGRAPHS[kind](page, chance))) for page in pages]
    likeness = [near(one, other) for one, other in zip(seen, clean)]
    assert np.median(likeness) > 0.9
    assert np.quantile(likeness, 0.1) > 0.5


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_light_of_a_room_and_frames_leave_the_character_as_it_is(kind: str, drawn: Dataset) -> None:
    chance = np.random.default_rng(2_000)
    pages = [on_paper(image) for image in drawn.test.pixels[:20]]
    clean = [to_kmnist(as_bytes(page)) for page in pages]
    seen = [prepared(as_bytes(FAMILIES[kind](page, chance))) for page in pages]
    assert np.median([near(one, other) for one, other in zip(seen, clean)]) > 0.9


@pytest.mark.parametrize("ink", ["dark", "light"])
def test_what_is_ink_is_told_by_the_paper_whatever_is_around_it(ink: str, drawn: Dataset) -> None:
    for margin in (0, 30, 120):
        for image in drawn.test.pixels[:5]:
            page = np.pad(on_paper(image), margin, constant_values=225)
            picture = as_bytes(page if ink == "dark" else 255 - page)
            assert near(to_kmnist(picture), to_kmnist(as_bytes(on_paper(image)))) > 0.9
