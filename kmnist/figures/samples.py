"""Pictures of a data set: some images of each class, and how many there are of each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.spec import DataSpec
from kmnist.figures.style import SERIES, as_png, figure_of

Counts = npt.NDArray[np.int64]
MOST_ROWS = 25  # of classes, in one column


@as_png
def samples(pixels: npt.NDArray[np.uint8], labels: Counts, spec: DataSpec, columns: int = 12) -> Any:
    """A grid with a row for each class: its name, and its first ``columns`` images.

    Args:
        pixels: uint8 (N, H, W).
        labels: (N,).
        spec: of the data set.
        columns: images of each class; fewer where classes stand in several columns.
    """
    blocks = -(-len(spec.classes) // MOST_ROWS)
    rows = -(-len(spec.classes) // blocks)
    columns = columns // blocks
    height, width = (side + 2 for side in spec.shape)
    figure = figure_of(9.2, 0.3 + 0.73 * rows / blocks, left=1.1, right=0.1, bottom=0.1, top=0.1, wspace=0.4)
    for block in range(blocks):
        axes = figure.add_subplot(1, blocks, block + 1)
        numbers = range(block * rows, min((block + 1) * rows, len(spec.classes)))
        grid = np.full((rows * height, columns * width), 40, np.uint8)
        for row, number in enumerate(numbers):
            for column, image in enumerate(pixels[labels == number][:columns]):
                top, left = row * height + 1, column * width + 1
                grid[top : top + height - 2, left : left + width - 2] = image
        axes.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
        named = [f"{spec.classes[number].glyph} {spec.classes[number].text}   {number}" for number in numbers]
        ticks = [row * height + height // 2 for row in range(len(numbers))]
        axes.set_yticks(ticks, named, fontsize=13 if blocks == 1 else 8)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    return figure


@as_png
def class_distribution(splits: Mapping[str, Counts], spec: DataSpec) -> Any:
    """Number of images of each class in each split.

    Args:
        splits: name of the split -> its labels (N,).
        spec: of the data set.
    """
    classes = len(spec.classes)
    figure = figure_of(min(max(9, 0.3 * classes), 18), 4.2, left=0.75, right=0.15, bottom=0.6, top=0.5)
    axes = figure.add_subplot()
    width = 0.8 / len(splits)
    for place, (name, labels) in enumerate(splits.items()):
        counts = np.bincount(labels, minlength=classes)
        at = np.arange(classes) - 0.4 + (place + 0.5) * width
        bars = axes.bar(at, counts, width * 0.92, color=SERIES[place % len(SERIES)], label=f"{name} ({len(labels):,})")
        if classes <= MOST_ROWS:
            axes.bar_label(bars, fontsize=7, padding=2)
    lines = (label.glyph if classes > MOST_ROWS else f"{label.glyph} {label.text}" for label in spec.classes)
    axes.set_xticks(range(classes), [f"{line}\n{number}" for number, line in enumerate(lines)])
    axes.set_ylabel("images")
    axes.legend(frameon=False, ncols=len(splits), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure
