"""How well a model reads pictures as people take them: test images drawn dark on light, and spoilt in two dozen ways.

    python -m experiments.benchmarks.photographs --model models:/kmnist@champion --data-dir data

Prints the accuracy on the images as they are, and on each kind of photograph, prepared by ``to_kmnist``; how many
answers are unsure, the accuracy of the others, and how many answers are sure and wrong. Half of the kinds are fixed;
the others (``rooms``) are families with random light, shadows and frames.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path

import cyclopts
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from experiments.benchmarks.rooms import FAMILIES, INK, PAPER, Levels, as_bytes, jpeg, plane
from kmnist import load_model
from kmnist.cli.options import DataDir, ModelUri, TrackingUri
from kmnist.data.kmnist import load_kmnist
from kmnist.errors import PictureError
from kmnist.inference import Predictions, to_kmnist

SCALE, MARGIN = 6, 12  # times the size of a test image; pixels of paper around it
app = cyclopts.App(help=__doc__, help_format="plaintext")


def gradient(strength: float) -> Callable[[Levels, np.random.Generator], Levels]:
    """Light from one side."""

    def spoil(page: Levels, chance: np.random.Generator) -> Levels:
        angle = float(chance.uniform(0, 2 * np.pi))
        y, x = plane(page.shape)
        return page - strength * (1 + (x * math.cos(angle) + y * math.sin(angle)) / math.sqrt(2)) / 2

    return spoil


def shadow(strength: float) -> Callable[[Levels, np.random.Generator], Levels]:
    """A part of the page is darker, with a soft edge."""

    def spoil(page: Levels, chance: np.random.Generator) -> Levels:
        angle, place = float(chance.uniform(0, 2 * np.pi)), float(chance.uniform(-0.4, 0.4))
        y, x = plane(page.shape)
        way: Levels = x * math.cos(angle) + y * math.sin(angle) - place
        return page - strength / (1 + np.exp(-way / 0.04))

    return spoil


def noise(page: Levels, chance: np.random.Generator) -> Levels:
    """Of a sensor in bad light."""
    return page + chance.normal(0, 20, page.shape)


def texture(page: Levels, chance: np.random.Generator) -> Levels:
    """Of rough paper."""
    grain: Levels = ndimage.gaussian_filter(chance.normal(0, 1, page.shape), 2.5)
    return page + grain * (15 / float(grain.std()))


def specks(page: Levels, chance: np.random.Generator) -> Levels:
    """Three of them, dark, of 3 to 5 pixels."""
    page = page.copy()
    for _ in range(3):
        side = int(chance.integers(3, 6))
        top, left = (int(chance.integers(0, size - side)) for size in page.shape)
        page[top : top + side, left : left + side] = INK
    return page


def pencil(page: Levels, chance: np.random.Generator) -> Levels:
    """Faint, on a gradient."""
    return gradient(80)(PAPER - (PAPER - page) * 0.45, chance)


def ruled(page: Levels, chance: np.random.Generator) -> Levels:
    """Faint lines, 30 pixels apart."""
    page, first = page.copy(), int(chance.integers(0, 30))
    page[first::30] = np.minimum(page[first::30], PAPER - 45)
    page[first + 1 :: 30] = np.minimum(page[first + 1 :: 30], PAPER - 45)
    return page


def phone(page: Levels, chance: np.random.Generator) -> Levels:
    """A gradient, blur, noise and JPEG."""
    blurred = ndimage.gaussian_filter(gradient(80)(page, chance), 1.5) + chance.normal(0, 4, page.shape)
    return jpeg(blurred, 60)


def desk(page: Levels, chance: np.random.Generator) -> Levels:
    """Six pixels of it, at one of the edges."""
    page, edge = page.copy(), int(chance.integers(0, 4))
    view = np.rot90(page, edge)
    view[:6] = 60
    return page


def turned(page: Levels, chance: np.random.Generator) -> Levels:
    """By 20 degrees, either way."""
    return np.asarray(ndimage.rotate(page, 20 * chance.choice([-1, 1]), reshape=True, order=1, cval=PAPER))


PHOTOGRAPHS: dict[str, Callable[[Levels, np.random.Generator], Levels]] = {
    "clean": lambda page, chance: page,
    "light on dark": lambda page, chance: 255 - page,
    "gradient of 80 grey levels": gradient(80),
    "gradient of 120 grey levels": gradient(120),
    "shadow of 80 grey levels": shadow(80),
    "noise of 20 grey levels": noise,
    "paper texture of 15 grey levels": texture,
    "three specks": specks,
    "pencil on a gradient": pencil,
    "ruled paper": ruled,
    "phone: gradient, blur, JPEG": phone,
    "6 pixels of desk at one edge": desk,
    "turned by 20 degrees": turned,
}


@app.default
def main(
    *,
    model: ModelUri = "models:/kmnist@champion",
    images: int = 400,
    seed: int = 0,
    out: Path | None = None,
    data_dir: DataDir = Path("data"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Print the table.

    Parameters
    ----------
    images
        test images, the first ones
    seed
        of what is drawn
    out
        folder for some of the pictures, and for what the network sees of them
    """
    classifier, data = load_model(model, tracking_uri=tracking_uri), load_kmnist(data_dir)
    pixels, labels = data.test.pixels[:images], data.test.labels[:images]
    raw = (classifier.predict(pixels).classes == labels).mean()
    print("| photograph | accuracy | difference, points | unsure | accuracy of the others | sure but wrong | ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(f"| none: the images as they are | {raw:.1%} | | {_unsure(classifier.predict(pixels), labels)} | |")
    for name, spoil in (PHOTOGRAPHS | FAMILIES).items():
        chance = np.random.default_rng(seed)
        pages = [as_bytes(spoil(drawn(image), chance)) for image in pixels]
        began = time.perf_counter()
        seen = np.stack([prepared(page) for page in pages])
        seconds = time.perf_counter() - began
        found = classifier.predict(seen)
        accuracy = (found.classes == labels).mean()
        print(
            f"| {name} | {accuracy:.1%} | {100 * (accuracy - raw):+.1f} | {_unsure(found, labels)} | "
            f"{1000 * seconds / images:.2f} |",
            flush=True,
        )
        if out:
            out.mkdir(parents=True, exist_ok=True)
            pairs = [
                np.hstack([_framed(page), np.kron(image, np.ones((7, 7), np.uint8))])
                for page, image in zip(pages[:12], seen)
            ]
            Image.fromarray(np.vstack([np.hstack(pairs[at : at + 4]) for at in range(0, 12, 4)])).save(
                out / f"{name.split(':')[0].split(',')[0].replace(' ', '_')}.png"
            )


def drawn(image: npt.NDArray[np.uint8]) -> Levels:
    """A test image as dark ink on light paper, six times as large, with a margin."""
    height, width = image.shape
    large = Image.fromarray(image).resize((width * SCALE, height * SCALE), Image.Resampling.BICUBIC)
    ink = np.pad(np.asarray(large, np.float64) / 255, MARGIN)
    return PAPER + (INK - PAPER) * ink


def _unsure(found: Predictions, labels: npt.NDArray[np.integer]) -> str:
    """The share of unsure answers, the accuracy of the others, and the share that is sure and wrong, as three cells."""
    right, sure = found.classes == labels, ~found.unsure
    return f"{found.unsure.mean():.1%} | {right[sure].mean():.1%} | {(sure & ~right).mean():.1%}"


def prepared(page: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What the network sees; an empty frame where nothing is found."""
    try:
        return to_kmnist(page)
    except PictureError:
        return np.zeros((28, 28), np.uint8)


def _framed(page: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(page).resize((196, 196)))


if __name__ == "__main__":
    app()
