"""A stand-in for Kuzushiji-MNIST, drawn from a font, for machines that cannot get the real one.

Ten modern kana, each deformed by an affine map and a smooth elastic displacement, with varying stroke width, ink and
noise. It has the shapes and classes of the real data and is far easier: numbers on it say nothing about KMNIST.
Elastic deformation after Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks" (2003).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from kmnist.data.images import Dataset, Images
from kmnist.data.kmnist import CLASSES
from kmnist.data.spec import DataSpec
from kmnist.fonts import font_path

SPEC = DataSpec("sample", "the drawn sample", CLASSES)

TRAIN_IMAGES = 4_000
TEST_IMAGES = 1_000
CANVAS = 84  # pixels a side of the glyph before it is reduced to 28
STROKES = (0, 2, 4)  # extra stroke widths in pixels of the canvas

BLOCK = 500  # images computed at once; more would only take more memory

Floats = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.uint8]


def draw_dataset(seed: int = 0, train: int = TRAIN_IMAGES, test: int = TEST_IMAGES) -> Dataset:
    """The stand-in data set; the same arguments give the same images.

    Args:
        seed: seed of all deformations.
        train: number of training images, a multiple of 10 for equal classes.
        test: number of test images, drawn from their own stream.
    """
    streams = np.random.SeedSequence(seed).spawn(2)
    glyphs = _glyphs()
    parts = [_draw(glyphs, count, np.random.default_rng(stream)) for count, stream in zip((train, test), streams)]
    return Dataset.build(
        SPEC, f"kmnist.data.sample.draw_dataset(seed={seed}, train={train}, test={test})", parts[0], parts[1]
    )


def _glyphs() -> list[list[Floats]]:
    """Each kana at each stroke width, as float arrays (CANVAS, CANVAS) of 0..255."""
    font = ImageFont.truetype(str(font_path()), round(0.8 * CANVAS))
    drawn = []
    for label in CLASSES:
        widths = []
        for stroke in STROKES:
            image = Image.new("L", (CANVAS, CANVAS))
            ImageDraw.Draw(image).text(
                (CANVAS / 2, CANVAS / 2), label.glyph, fill=255, font=font, anchor="mm", stroke_width=stroke
            )
            # The blur keeps thin strokes from falling between the sampling points of the 28-pixel grid.
            widths.append(ndimage.gaussian_filter(np.asarray(image, dtype=float), CANVAS / 28 / 2.5))
        drawn.append(widths)
    return drawn


def _draw(glyphs: list[list[Floats]], count: int, rng: np.random.Generator) -> Images:
    labels = rng.permutation(np.arange(count) % len(CLASSES))
    blocks = [_deform(glyphs, labels[start : start + BLOCK], rng) for start in range(0, count, BLOCK)]
    return Images(np.concatenate(blocks), labels.astype(np.int64))


def _deform(glyphs: list[list[Floats]], labels: npt.NDArray[np.integer[Any]], rng: np.random.Generator) -> Pixels:
    """Images (B, 28, 28): sample glyphs where random affine maps plus elastic fields send the pixel centres."""
    # What chance decides is drawn image by image, so that the size of a block changes nothing; the rest is computed
    # for all at once, in less than half the time.
    chances = [_chances(rng) for _ in labels]
    strokes, matrices, fields, shifts, inks, noises = (np.stack(part) for part in zip(*chances))
    grid = (np.indices((28, 28)).reshape(2, -1) - 13.5) / 28  # (2, 784), -0.5..0.5
    elastic = ndimage.gaussian_filter(fields, (0, 0, 4, 4)).reshape(-1, 2, 784)
    places = matrices @ grid + shifts + 0.6 * elastic
    places = ((places + 0.5) * CANVAS - 0.5).transpose(1, 0, 2)  # (2, B, 784)
    ink = np.empty(places.shape[1:])
    for label, stroke in set(zip(labels, strokes)):
        those = (labels == label) & (strokes == stroke)
        ink[those] = ndimage.map_coordinates(glyphs[label][stroke], places[:, those], order=1)
    ink = ink * inks[:, None] + noises.reshape(-1, 784)
    pixels: Pixels = np.clip(np.rint(ink), 0, 255).astype(np.uint8).reshape(-1, 28, 28)
    return pixels


def _chances(rng: np.random.Generator) -> tuple[Any, ...]:
    """Of one image: stroke, affine map, field to be smoothed, shift, share of ink, noise."""
    stroke = rng.integers(len(STROKES))
    angle, shear = rng.normal(0, 0.15), rng.normal(0, 0.2)  # radians, share of the height
    scale = np.exp(rng.normal(0, 0.12, size=2))
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotate @ np.array([[1, shear], [0, 1]]) @ np.diag(scale)
    field, shift = rng.normal(size=(2, 28, 28)), rng.normal(0, 0.03, size=(2, 1))
    return stroke, matrix, field, shift, rng.uniform(0.7, 1.0), rng.normal(0, 8, size=(28, 28))
