"""Pictures of one run: its data, its curves and its errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from kmnist.figures.style import as_png, figure_of
from kmnist.kana import CLASSES, KANA, ROMAJI, font_path

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
LOWEST_LOSS = 1e-6  # drawn: a net that has learnt everything by heart reaches 0, which has no logarithm
TRAIN_COLOUR, VALID_COLOUR, BEST_COLOUR = "#1f77b4", "#d95f02", "#666666"


@as_png
def samples(pixels: npt.NDArray[np.uint8], labels: Counts, columns: int = 12) -> Any:
    """A grid with a row for each class: its kana, romaji and number, and its first ``columns`` images.

    Args:
        pixels: uint8 (N, 28, 28).
        labels: (N,).
    """
    figure = figure_of(9.2, 7.6, left=1.1, right=0.1, bottom=0.1, top=0.1)
    axes = figure.add_subplot()
    grid = np.full((CLASSES * 30, columns * 30), 40, np.uint8)
    for row in range(CLASSES):
        for column, image in enumerate(pixels[labels == row][:columns]):
            grid[row * 30 + 1 : row * 30 + 29, column * 30 + 1 : column * 30 + 29] = image
    axes.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    axes.set_yticks(
        [row * 30 + 15 for row in range(CLASSES)], [f"{k} {r}   {n}" for n, (k, r) in _names()], fontsize=13
    )
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


@as_png
def class_distribution(splits: dict[str, Counts]) -> Any:
    """Number of images of each class in each split.

    Args:
        splits: name of the split -> its labels (N,).
    """
    figure = figure_of(9, 4.2, left=0.75, right=0.15, bottom=0.6, top=0.5)
    axes = figure.add_subplot()
    width = 0.8 / len(splits)
    for place, (name, labels) in enumerate(splits.items()):
        counts = np.bincount(labels, minlength=CLASSES)
        at = np.arange(CLASSES) - 0.4 + (place + 0.5) * width
        bars = axes.bar(at, counts, width * 0.92, label=f"{name} ({len(labels):,})")
        axes.bar_label(bars, fontsize=7, padding=2)
    axes.set_xticks(range(CLASSES), [f"{kana} {romaji}\n{number}" for number, (kana, romaji) in _names()])
    axes.set_ylabel("images")
    axes.legend(frameon=False, ncols=len(splits), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


@as_png
def learning_curves(
    epochs: Sequence[int],
    train: Mapping[str, Sequence[float]],
    valid: Mapping[str, Sequence[float]],
    best_epoch: int,
) -> Any:
    """Loss (logarithmic) and accuracy of train and valid over the epochs, with the best epoch marked.

    Args:
        epochs: their numbers.
        train: ``loss`` and ``accuracy``, one value an epoch.
        valid: the same.
        best_epoch: whose weights were kept.
    """
    figure = figure_of(11, 4.4, left=0.75, right=0.15, bottom=0.55, top=0.15, wspace=0.2)
    marker = "o" if len(epochs) <= 30 else ""
    for place, (name, label) in enumerate(
        (("loss", "loss (nats; 1e-6 and less at the bottom)"), ("accuracy", "accuracy")), start=1
    ):
        axes = figure.add_subplot(1, 2, place)
        floor = LOWEST_LOSS if name == "loss" else 0.0
        axes.plot(
            epochs, np.maximum(train[name], floor), color=TRAIN_COLOUR, marker=marker, markersize=3, label="train"
        )
        axes.plot(
            epochs, np.maximum(valid[name], floor), color=VALID_COLOUR, marker=marker, markersize=3, label="valid"
        )
        axes.axvline(best_epoch, color=BEST_COLOUR, linestyle=":", label=f"best epoch {best_epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        if name == "loss":
            axes.set_yscale("log")
        axes.legend(frameon=False)
    return figure


@as_png
def confusion(matrix: Counts, title: str) -> Any:
    """A confusion matrix: rows actual, columns predicted. Colour and number in a cell: images.

    The colours follow the errors, on a scale of their own: the diagonal would drown them.

    Args:
        matrix: counts (10, 10).
        title: what it was counted on.
    """
    figure = figure_of(7.6, 7.4, left=0.95, right=0.15, bottom=0.8, top=0.4)
    axes = figure.add_subplot()
    off_diagonal = np.where(np.eye(CLASSES, dtype=bool), 0, matrix)
    axes.imshow(off_diagonal, cmap="Oranges", vmin=0, vmax=max(off_diagonal.max(), 1))
    diagonal = np.where(np.eye(CLASSES, dtype=bool), matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), np.nan)
    axes.imshow(diagonal, cmap="Blues", vmin=0, vmax=1.6)
    for row, column in np.ndindex(CLASSES, CLASSES):
        strong = off_diagonal[row, column] > 0.6 * off_diagonal.max()
        if matrix[row, column]:
            colour = "white" if strong and row != column else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour)
    names = [f"{kana}\n{romaji}" for _, (kana, romaji) in _names()]
    axes.set_xticks(range(CLASSES), names)
    axes.set_yticks(range(CLASSES), [f"{kana} {romaji}" for _, (kana, romaji) in _names()])
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


@as_png
def misclassified(
    pixels: npt.NDArray[np.uint8], actual: Counts, probabilities: Floats, rows: int = 4, columns: int = 8
) -> Any:
    """The errors that the model was most sure of: each image with what it is and what it was taken for.

    Args:
        pixels: uint8 (N, 28, 28).
        actual: (N,).
        probabilities: (N, 10).
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
        was, taken_for = actual[index], predicted[index]
        words = f"{KANA[was]} {ROMAJI[was]}, taken for\n{KANA[taken_for]} {ROMAJI[taken_for]} ({sure[index]:.1%})"
        axes.text(left + 14, top - 2, words, ha="center", fontsize=8)
    axes.set_xlim(-6, 40 * columns - 6)
    axes.set_ylim(50 * rows - 18, -15)
    axes.axis("off")
    return figure


def confusion_image(matrix: Counts) -> Image.Image:
    """The same matrix as :func:`confusion`, drawn plainly in a few milliseconds: it is made while training goes on."""
    cell, margin = 40, 44
    font, small = ImageFont.truetype(str(font_path()), 18), ImageFont.truetype(str(font_path()), 15)
    image = Image.new("RGB", (margin + CLASSES * cell + 2, margin + CLASSES * cell + 2), "white")
    draw = ImageDraw.Draw(image)
    draw.text((4, 4), "actual ↓\npredicted →", fill="#444444", font=small.font_variant(size=8))
    worst = max(int(np.where(np.eye(CLASSES, dtype=bool), 0, matrix).max()), 1)
    for number, kana in enumerate(KANA):
        middle = margin + number * cell + cell // 2
        draw.text((middle, margin // 2 + 4), kana, fill="black", font=font, anchor="mm")
        draw.text((margin // 2, middle), kana, fill="black", font=font, anchor="mm")
    for row, column in np.ndindex(CLASSES, CLASSES):
        count = int(matrix[row, column])
        share = count / max(int(matrix[row].sum()), 1) if row == column else count / worst
        pale = (158, 190, 224) if row == column else (240, 128, 60)
        fill = tuple(round(255 - (255 - channel) * share) for channel in pale)
        left, top = margin + column * cell, margin + row * cell
        draw.rectangle((left, top, left + cell - 2, top + cell - 2), fill=fill)
        if count:
            draw.text((left + cell // 2 - 1, top + cell // 2 - 1), str(count), fill="black", font=small, anchor="mm")
    return image


def _names() -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(zip(KANA, ROMAJI)))
