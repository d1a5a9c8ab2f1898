"""Pictures to try a model with, drawn from a font: ``python -m experiments.photos`` writes ``experiments/photos/``.

They look like the pictures that people take: ink on paper in a lamp's light, chalk on a board, a scan. Their names say
what they show. One is a kana that Kuzushiji-MNIST does not have: a model should be unsure of it.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kmnist.fonts import font_path

FOLDER = Path(__file__).parent / "photos"
SIDE = 240  # pixels
Levels = npt.NDArray[np.float64]


def draw() -> dict[str, Image.Image]:
    """Each picture by the name of its file."""
    return {
        "ya_scan.png": _scan(_ink("や")),
        "wo_paper.jpg": _paper(_ink("を", degrees=4.0)),
        "tsu_board.jpg": _board(_ink("つ", degrees=-3.0)),
        "se_unknown.jpg": _paper(_ink("せ", stroke=3)),
    }


def _ink(kana: str, *, degrees: float = 0.0, stroke: int = 0) -> Levels:
    """How much ink is where (SIDE, SIDE), 0 to 1."""
    image = Image.new("L", (SIDE, SIDE))
    font = ImageFont.truetype(str(font_path()), 150)
    ImageDraw.Draw(image).text((SIDE // 2, SIDE // 2), kana, 255, font, "mm", stroke_width=stroke, stroke_fill=255)
    blurred = image.rotate(degrees, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.8))
    return np.asarray(blurred, np.float64) / 255


def _scan(ink: Levels) -> Image.Image:
    return Image.fromarray((255 * (1 - ink)).astype(np.uint8)).quantize(4).convert("L")


def _paper(ink: Levels) -> Image.Image:
    """Dark ink on cream paper; a lamp at the upper left."""
    paper = np.array([232, 222, 200]) * _light(far=0.82)
    return _photographed(paper * (1 - 0.85 * ink[..., None]))


def _board(ink: Levels) -> Image.Image:
    """Chalk on a green board."""
    board = np.array([38, 70, 58]) * _light(far=0.9)
    return _photographed(board + (215 - board) * 0.9 * ink[..., None])


def _light(far: float) -> Levels:
    """(SIDE, SIDE, 1): 1 at the upper left, ``far`` at the other corner."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    light: Levels = 1 - (1 - far) * (rows + columns) / 2
    return light[..., None]


def _photographed(levels: Levels) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 3, (SIDE, SIDE, 1))
    return Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, picture in draw().items():
        picture.save(FOLDER / name, **({"quality": 80} if name.endswith("jpg") else {"optimize": True}))
        print(FOLDER / name)


if __name__ == "__main__":
    main()
