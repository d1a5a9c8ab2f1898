import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kmnist import figures
from kmnist.data import Dataset


def opened(png: bytes) -> Image.Image:
    image = Image.open(BytesIO(png))
    image.load()
    assert image.format == "PNG"
    assert min(image.size) > 300
    return image.convert("L")


def ink(image: Image.Image) -> float:
    return float((np.asarray(image) < 250).mean())


MATRIX = np.diag([90] * 10)
MATRIX[2, 6] = 10


def test_each_figure_is_a_picture_with_something_on_it(drawn: Dataset) -> None:
    curve = {"loss": [1.0, 0.5, 0.0], "accuracy": [0.5, 0.7, 1.0]}
    probabilities = np.full((200, 10), 0.05)
    probabilities[:, 3] = 0.55
    pictures = {
        "samples": figures.samples(drawn.train.pixels, drawn.train.labels),
        "distribution": figures.class_distribution({"train": drawn.train.labels, "test": drawn.test.labels}),
        "curves": figures.learning_curves([1, 2, 3], curve, curve, 2),
        "confusion": figures.confusion(MATRIX, "title"),
        "misclassified": figures.misclassified(drawn.test.pixels, drawn.test.labels, probabilities),
    }
    for name, png in pictures.items():
        assert ink(opened(png)) > 0.02, name


def test_kana_are_drawn_without_missing_glyphs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a missing glyph
        figures.confusion(MATRIX, "すべて")


def test_a_single_epoch_and_no_error_at_all_can_be_drawn(drawn: Dataset) -> None:
    curve = {"loss": [0.0], "accuracy": [1.0]}
    opened(figures.learning_curves([1], curve, curve, 1))
    perfect = np.eye(10)[drawn.test.labels]
    opened(figures.misclassified(drawn.test.pixels, drawn.test.labels, perfect))
    opened(figures.confusion(np.diag([20] * 10), "no error"))


def test_the_quick_confusion_image_shows_errors_off_the_diagonal() -> None:
    with_error = figures.confusion_image(MATRIX)
    without = figures.confusion_image(np.diag([90] * 10))
    assert with_error.size == without.size
    difference = np.asarray(with_error) != np.asarray(without)
    rows, columns = np.nonzero(difference.any(axis=2))
    assert {(row - 44) // 40 for row in rows} == {2}
    assert {(column - 44) // 40 for column in columns} == {2, 6}


@pytest.mark.parametrize("text", ["samples", "confusion"])
def test_figures_leave_matplotlibs_settings_alone(text: str, drawn: Dataset) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    getattr(figures, text)(*((drawn.test.pixels, drawn.test.labels) if text == "samples" else (MATRIX, "t")))
    assert dict(matplotlib.rcParams) == before
