"""Training images beside pictures that were made to look like them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.figures.style import as_png, figure_of


@as_png
def prepared(pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]], form: str) -> Any:
    """A training image above a larger picture of it after its preparation: a column for each; they should look alike.

    Args:
        pairs: (H, W) each.
        form: what pictures are made to look like, in words.
    """
    figure = figure_of(0.9 * len(pairs) + 1, 2.6, left=0.1, right=0.1, bottom=0.1, top=0.6, wspace=0.1, hspace=0.3)
    figure.suptitle(f"training images, and pictures of them as the model sees them: {form}", fontsize=8)
    for column, pair in enumerate(pairs):
        for row, image in enumerate(pair):
            axes = figure.add_subplot(2, len(pairs), row * len(pairs) + column + 1)
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.axis("off")
    return figure
