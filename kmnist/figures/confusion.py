"""The confusion matrix, drawn plainly in a few milliseconds: it is made while training goes on, too."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kmnist.data.spec import DataSpec
from kmnist.fonts import font_path

RIGHT, WRONG = (158, 190, 224), (240, 128, 60)  # blue and orange: told apart in grey and by the colour-blind
INK = "#222222"
MANY = 16  # classes, from which on cells are small and only glyphs are written


def confusion_matrix_image(matrix: npt.NDArray[np.int64], spec: DataSpec, title: str = "") -> Image.Image:
    """Rows actual, columns predicted; colour and number in a cell: images.

    The colours of the errors are on a scale of their own: the diagonal would drown them.

    Args:
        matrix: counts (C, C).
        spec: of the data set.
        title: what it was counted on.
    """
    count = len(spec.classes)
    cell, margin, top = (56, 96, 84) if count < MANY else (26, 60, 64)
    font = ImageFont.truetype(str(font_path()), 18 if count < MANY else 14)
    small, number_font = font.font_variant(size=13), font.font_variant(size=17 if count < MANY else 10)
    image = Image.new("RGB", (margin + count * cell + 12, top + count * cell + 12), "white")
    draw = ImageDraw.Draw(image)
    draw.text((margin, 6), title, fill=INK, font=font.font_variant(size=16))
    draw.text((6, top - 26), "actual ↓", fill=INK, font=small)
    draw.text((6, top - 46), "predicted →", fill=INK, font=small)
    worst = max(int(np.where(np.eye(count, dtype=bool), 0, matrix).max()), 1)
    for number, label in enumerate(spec.classes):
        middle = number * cell + cell // 2
        across = label.glyph if count >= MANY or label.glyph == label.text else f"{label.glyph} {label.text}"
        draw.text((margin + middle, top - 14), across, fill=INK, font=small if count < MANY else font, anchor="mm")
        draw.text((margin - 10, top + middle), across, fill=INK, font=font, anchor="rm")
    for row, column in np.ndindex(count, count):
        images = int(matrix[row, column])
        share = images / max(int(matrix[row].sum()), 1) if row == column else images / worst
        pale = RIGHT if row == column else WRONG
        fill = tuple(round(255 - (255 - channel) * share) for channel in pale)
        left, upper = margin + column * cell, top + row * cell
        draw.rectangle((left, upper, left + cell - 2, upper + cell - 2), fill=fill)
        if images:
            centre = (left + cell // 2 - 1, upper + cell // 2 - 1)
            draw.text(centre, str(images), fill="black", font=number_font, anchor="mm")
    return image
