"""Learning curves."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kmnist.figures.style import as_png, figure_of

LOWEST_LOSS = 1e-6  # drawn: a net that has learnt everything by heart reaches 0, which has no logarithm
COLOURS = {"train": "#1f77b4", "valid": "#d95f02"}
BEST_COLOUR = "#666666"


@as_png
def learning_curves(
    epochs: Sequence[int],
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    best_epoch: int,
) -> Any:
    """Loss (logarithmic) and accuracy of train and valid over the epochs, with the best epoch marked.

    Args:
        epochs: their numbers.
        curves: of ``train`` and, if any was measured, ``valid``: ``loss`` and ``accuracy``, one value an epoch.
        best_epoch: whose weights were kept.
    """
    figure = figure_of(11, 4.4, left=1.0, right=0.15, bottom=0.55, top=0.15, wspace=0.2)
    marker = "o" if len(epochs) <= 30 else ""
    labels = {"loss": "loss (nats; 1e-6 and less at the bottom)", "accuracy": "accuracy"}
    for place, (name, label) in enumerate(labels.items(), start=1):
        axes = figure.add_subplot(1, 2, place)
        floor = LOWEST_LOSS if name == "loss" else 0.0
        for split, numbers in curves.items():
            values = np.maximum(numbers[name], floor)
            axes.plot(epochs, values, color=COLOURS[split], marker=marker, markersize=3, label=split)
        axes.axvline(best_epoch, color=BEST_COLOUR, linestyle=":", label=f"weights of epoch {best_epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        if name == "loss":
            axes.set_yscale("log")
        axes.legend(frameon=False)
    return figure
