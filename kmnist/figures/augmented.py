"""Images as they are, and as a network sees them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.figures.style import as_png, figure_of


@as_png
def augmented(pixels: npt.NDArray[np.uint8], changed: npt.NDArray[np.floating[Any]]) -> Any:
    """A row for each image: itself, then what was made of it each time.

    Args:
        pixels: (N, H, W).
        changed: (times, N, H, W), 0..255.
    """
    times, count, height, width = changed.shape
    cell_height, cell_width = height + 2, width + 2
    grid = np.full((count * cell_height, (times + 1) * cell_width + 6), 255.0)
    for column, images in enumerate([pixels, *changed]):
        left = column * cell_width + (6 if column else 0) + 1
        for row, image in enumerate(images):
            top = row * cell_height + 1
            grid[top : top + height, left : left + width] = image
    figure = figure_of(0.75 * (times + 1) + 0.3, 0.75 * count + 0.5, left=0.1, right=0.1, bottom=0.1, top=0.4)
    axes = figure.add_subplot()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    axes.set_title("each image as it is, and as the network sees it in eight epochs", fontsize=10)
    axes.axis("off")
    return figure
