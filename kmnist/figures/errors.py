"""Pictures of what a network got wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.spec import DataSpec
from kmnist.figures.style import as_png, figure_of


@as_png
def misclassified(
    pixels: npt.NDArray[np.uint8],
    actual: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating[Any]],
    spec: DataSpec,
    rows: int = 4,
    columns: int = 8,
) -> Any:
    """The errors that the network was most sure of: each image with what it is and what it was taken for.

    Args:
        pixels: uint8 (N, H, W).
        actual: (N,).
        probabilities: (N, C).
        spec: of the data set.
        rows: of images.
        columns: of images.
    """
    predicted = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != actual)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][: rows * columns]
    figure = figure_of(1.4 * columns, 1.8 * rows, left=0.05, right=0.05, bottom=0.05, top=0.05)
    if not len(wrong):
        figure.text(0.5, 0.5, "no image was misclassified", ha="center", va="center", fontsize=14)
        return figure
    axes = figure.add_subplot()  # one for all: an axes for each image would take six times as long
    for place, index in enumerate(wrong):
        left, top = 40 * (place % columns), 50 * (place // columns)
        axes.imshow(pixels[index], cmap="gray", vmin=0, vmax=255, extent=(left, left + 28, top + 28, top))
        words = f"{spec.words(actual[index])}, taken for\n{spec.words(predicted[index])} ({sure[index]:.1%})"
        axes.text(left + 14, top - 2, words, ha="center", fontsize=8)
    axes.set_xlim(-6, 40 * columns - 6)
    axes.set_ylim(50 * rows - 18, -15)
    axes.axis("off")
    return figure
