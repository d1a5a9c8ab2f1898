"""The mean image of each class: what its members have in common."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.spec import DataSpec
from kmnist.figures.style import figure_of

COLUMNS = 10


def mean_images(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], spec: DataSpec) -> Any:
    """One image a class.

    Args:
        pixels: uint8 (N, H, W).
        labels: (N,).
        spec: of the data set.
    """
    height, width = spec.shape
    rows = -(-len(spec.classes) // COLUMNS)
    figure = figure_of(9.2, 1.25 * rows + 0.1, left=0.1, right=0.1, bottom=0.05, top=0.05)
    axes = figure.add_subplot()
    for number, label in enumerate(spec.classes):
        of_class = pixels[labels == number]
        image = of_class.mean(axis=0) if len(of_class) else np.zeros(spec.shape)
        left, top = (number % COLUMNS) * (width + 4), (number // COLUMNS) * (height + 12)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, top + height, top))
        words = label.glyph if label.glyph == label.text else f"{label.glyph} {label.text}"
        axes.text(left + width / 2, top - 2, words, ha="center", fontsize=11)
    axes.set_xlim(-2, COLUMNS * (width + 4))
    axes.set_ylim(rows * (height + 12), -12)
    axes.axis("off")
    return figure
