"""Pictures of predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.figures.style import as_png, figure_of


@as_png
def explanations(
    images: Sequence[npt.NDArray[np.uint8]], falls: Sequence[npt.NDArray[np.float32]], titles: Sequence[str]
) -> Any:
    """What the network saw, and where covering it takes most from its answer: a row for each picture.

    Args:
        images: (28, 28) each, as they were given to the network.
        falls: (28, 28) each: by how much the log-probability of the answer falls when that place is covered.
        titles: one each.
    """
    figure = figure_of(7.2, 3.6 * len(images), left=0.1, right=0.1, bottom=0.1, top=0.4, wspace=0.05, hspace=0.15)
    for row, (image, fall, title) in enumerate(zip(images, falls, titles)):
        seen, why = figure.add_subplot(len(images), 2, 2 * row + 1), figure.add_subplot(len(images), 2, 2 * row + 2)
        seen.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        seen.set_title(title, fontsize=10, parse_math=False)  # it has the name of a file
        why.imshow(image, cmap="gray", vmin=0, vmax=255, alpha=0.35, interpolation="nearest")
        most = max(float(np.abs(fall).max()), 1e-6)
        why.imshow(fall, cmap="coolwarm", vmin=-most, vmax=most, alpha=0.75, interpolation="bilinear")
        why.set_title("red speaks for the answer, blue against it", fontsize=10)
        for axes in (seen, why):
            axes.axis("off")
    return figure
