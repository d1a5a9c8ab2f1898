"""The light of rooms and what surrounds a letter, as random as photographs are: families of spoilt pages.

Each takes a page of grey levels (H, W) and a generator, and gives another page, which may be larger. Light multiplies:
its brightest place is 1.
"""

import math
from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from kmnist.inference import read_picture

Levels = npt.NDArray[np.float64]
Spoil = Callable[[Levels, np.random.Generator], Levels]
PAPER, INK = 225.0, 45.0
MOST_MARGIN = 30  # pixels of paper that a page has beside those it had
MOST_TILT = math.radians(3)


def plane(shape: tuple[int, ...]) -> tuple[Levels, Levels]:
    """Where each pixel is, from -1 to 1, down and across, (H, W) each."""
    down, across = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.asarray(down, np.float64), np.asarray(across, np.float64)


def jpeg(page: Levels, quality: int) -> Levels:
    """Saved and read."""
    content = BytesIO()
    Image.fromarray(as_bytes(page)).save(content, "JPEG", quality=quality)
    return np.asarray(read_picture(content.getvalue()), np.float64)


def as_bytes(page: Levels) -> npt.NDArray[np.uint8]:
    """As a file holds it."""
    return page.round().clip(0, 255).astype(np.uint8)


def vignette(page: Levels, chance: np.random.Generator) -> Levels:
    """A lens: corners 10 to 60 % darker than the middle, which need not be that of the page."""
    strength, power = chance.uniform(0.1, 0.6), chance.uniform(1, 2)
    y, x = plane(page.shape)
    top, left = chance.uniform(-0.2, 0.2, 2)
    far: Levels = (y - top) ** 2 + (x - left) ** 2
    return page * (1 - strength * (far / far.max()) ** power)


def lamp(page: Levels, chance: np.random.Generator) -> Levels:
    """Above the page or beside it: its far side has 50 to 90 % of the light."""
    rest = chance.uniform(0.5, 0.9)
    y, x = plane(page.shape)
    top, left = chance.uniform(-1.5, 1.5, 2)
    light: Levels = 1 / (chance.uniform(0.1, 2) + (y - top) ** 2 + (x - left) ** 2)
    light -= light.min()
    return page * (rest + (1 - rest) * light / light.max())


def _shadow(page: Levels, chance: np.random.Generator, edge: float) -> Levels:
    angle, place, depth = chance.uniform(0, 2 * np.pi), chance.uniform(-0.6, 0.6), chance.uniform(0.1, 0.4)
    y, x = plane(page.shape)
    way: Levels = (x * math.cos(angle) + y * math.sin(angle) - place) / edge
    return page * (1 - depth / (1 + np.exp(-way.clip(-50, 50))))


def hard_shadow(page: Levels, chance: np.random.Generator) -> Levels:
    """Of 10 to 40 %, at any angle; its edge is a pixel or two wide."""
    return _shadow(page, chance, chance.uniform(0.002, 0.01))


def soft_shadow(page: Levels, chance: np.random.Generator) -> Levels:
    """The same with an edge that is up to a third of the page wide."""
    return _shadow(page, chance, chance.uniform(0.02, 0.15))


def two_shadows(page: Levels, chance: np.random.Generator) -> Levels:
    """Each hard or soft."""
    for _ in range(2):
        page = (hard_shadow if chance.random() < 0.5 else soft_shadow)(page, chance)
    return page


def _sides(chance: np.random.Generator, least: int) -> list[int]:
    return sorted(int(side) for side in chance.choice(4, chance.integers(least, 5), replace=False))


def _outside(shape: tuple[int, int], chance: np.random.Generator, far: float) -> Levels:
    """How far each pixel lies outside a line along the first row, ``far`` from it and tilted a little; in pixels."""
    tilt = math.tan(chance.uniform(-MOST_TILT, MOST_TILT))
    down, across = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(far + tilt * (across - shape[1] / 2) - down, np.float64)


def _framed(page: Levels, chance: np.random.Generator, least: float, most: float) -> Levels:
    level = chance.uniform(10, 110)
    for side in _sides(chance, 1):
        view = np.rot90(page, side)
        thick = chance.uniform(least, most) * len(view)
        more = math.ceil(thick + math.tan(MOST_TILT) * view.shape[1] / 2)
        view = np.pad(view, ((more, 0), (0, 0)), mode="edge")
        covered = (_outside(view.shape, chance, thick) + 0.5).clip(0, 1)
        page = np.rot90(view + covered * (level - view), -side)
    return page + 3 * ndimage.gaussian_filter(chance.normal(0, 2, page.shape), 1) * (page < level + 1)


def thin_frame(page: Levels, chance: np.random.Generator) -> Levels:
    """Something dark on 1 to 4 sides, 1 to 4 % of the page: a scan's borders, a card's edge."""
    return _framed(page, chance, 0.01, 0.04)


def thick_frame(page: Levels, chance: np.random.Generator) -> Levels:
    """The same of 4 to 20 %: a card on a desk."""
    return _framed(page, chance, 0.04, 0.2)


def cell(page: Levels, chance: np.random.Generator) -> Levels:
    """Cut out at its lines, 1 to 4 pixels wide, on 2 to 4 sides, with up to 6 % of the next cells' paper."""
    level = chance.uniform(INK, PAPER - 70)
    for side in _sides(chance, 2):
        view, wide = np.rot90(page, side), chance.uniform(1, 4)
        far = chance.uniform(0, 0.06) * len(view)
        more = math.ceil(far + wide + math.tan(MOST_TILT) * view.shape[1] / 2)
        view = np.pad(view, ((more, 0), (0, 0)), mode="edge")
        away = _outside(view.shape, chance, far + wide)
        covered = (away + 0.5).clip(0, 1) - (away - wide + 0.5).clip(0, 1)
        page = np.rot90(view + covered * (level - view), -side)
    return page


def together(page: Levels, chance: np.random.Generator) -> Levels:
    """Faint ink, something around it, a lens or a lamp, up to two shadows, blur, noise and JPEG."""
    page = PAPER - (PAPER - page) * chance.uniform(0.45, 0.8)
    page = _any(chance, _same, thin_frame, thick_frame, cell)(page, chance)
    page = _any(chance, vignette, lamp)(page, chance)
    page = _any(chance, _same, hard_shadow, soft_shadow, two_shadows)(page, chance)
    page = ndimage.gaussian_filter(page, chance.uniform(0.3, 1.5))
    return jpeg(page + chance.normal(0, chance.uniform(0, 4), page.shape), int(chance.integers(50, 91)))


def board(page: Levels, chance: np.random.Generator) -> Levels:
    """Light ink on something dark, with a lens or a lamp, and up to two shadows."""
    page = _any(chance, vignette, lamp)(255 - page, chance)
    return _any(chance, _same, hard_shadow, soft_shadow, two_shadows)(page, chance)


def _same(page: Levels, chance: np.random.Generator) -> Levels:
    return page


def _any(chance: np.random.Generator, *kinds: Spoil) -> Spoil:
    return kinds[int(chance.integers(len(kinds)))]


def _with_margin(spoil: Spoil) -> Spoil:
    def spoil_more(page: Levels, chance: np.random.Generator) -> Levels:
        return spoil(np.pad(page, int(chance.integers(0, MOST_MARGIN + 1)), constant_values=PAPER), chance)

    return spoil_more


FAMILIES: dict[str, Spoil] = {
    name: _with_margin(spoil)
    for name, spoil in {
        "margins of 12 to 42 pixels": _same,
        "vignette of 10 to 60 %": vignette,
        "lamp, far side at 50 to 90 %": lamp,
        "hard shadow of 10 to 40 %": hard_shadow,
        "soft shadow of 10 to 40 %": soft_shadow,
        "two shadows": two_shadows,
        "thin frame on 1 to 4 sides": thin_frame,
        "thick frame on 1 to 4 sides": thick_frame,
        "cell lines on 2 to 4 sides": cell,
        "light ink on a dark board": board,
        "all of it together": together,
    }.items()
}
