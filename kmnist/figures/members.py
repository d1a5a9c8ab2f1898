"""The members of an ensemble."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kmnist.figures.style import SERIES, as_png, figure_of


@as_png
def members(table: pd.DataFrame, accuracy: float, disagreement: npt.NDArray[np.float64]) -> Any:
    """Each member's accuracy beside that of all together, and how much each two differ.

    Args:
        table: columns ``member`` and ``valid_accuracy``, a row a member.
        accuracy: of the ensemble, on the same images.
        disagreement: (M, M), shares of these images.
    """
    figure = figure_of(10, 4.2, left=0.95, right=0.3, bottom=0.6, top=0.55, wspace=0.3)
    axes, places = figure.add_subplot(1, 2, 1), range(len(table))
    axes.axhline(accuracy, color=SERIES[1], label=f"ensemble {accuracy:.4f}")
    axes.plot(places, table["valid_accuracy"], "o", color=SERIES[0], label=f"best {table['valid_accuracy'].max():.4f}")
    axes.set_xticks(places, [str(number) for number in table["member"]])
    axes.set_xlabel("member")
    axes.set_ylabel("accuracy on images of no member")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    axes = figure.add_subplot(1, 2, 2)
    axes.imshow(disagreement, cmap="Blues", vmin=0)
    for row, column in np.ndindex(*disagreement.shape):
        if row != column and len(table) <= 12:
            dark = disagreement[row, column] > 0.6 * disagreement.max()
            text = f"{disagreement[row, column]:.2%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(places, [str(number) for number in table["member"]])
    axes.set_title("images for which two members differ", fontsize=10)
    return figure
