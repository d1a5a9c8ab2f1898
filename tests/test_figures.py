import warnings
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kmnist import figures
from kmnist.data import Dataset
from kmnist.data.kmnist import SPEC
from kmnist.data.kuzushiji49 import SPEC as KUZUSHIJI49

pytestmark = pytest.mark.figures


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
        "samples": figures.samples(drawn.train.pixels, drawn.train.labels, SPEC),
        "distribution": figures.class_distribution({"train": drawn.train.labels, "test": drawn.test.labels}, SPEC),
        "curves": figures.learning_curves([1, 2, 3], {"train": curve, "valid": curve}, 2),
        "misclassified": figures.misclassified(drawn.test.pixels, drawn.test.labels, probabilities, SPEC),
    }
    for name, png in pictures.items():
        assert ink(opened(png)) > 0.02, name


def test_kana_are_drawn_without_missing_glyphs(drawn: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a missing glyph
        figures.class_distribution({"train": drawn.train.labels}, SPEC)
        figures.class_distribution({"train": np.arange(49).repeat(3)}, KUZUSHIJI49)


def test_49_classes_can_be_drawn() -> None:
    labels = np.arange(49).repeat(5)
    pixels = np.full((len(labels), 28, 28), 90, np.uint8)
    for png in (
        figures.samples(pixels, labels, KUZUSHIJI49),
        figures.class_distribution({"train": labels}, KUZUSHIJI49),
        figures.misclassified(pixels, labels, np.eye(49)[(labels + 1) % 49], KUZUSHIJI49),
    ):
        assert ink(opened(png)) > 0.02
    assert min(figures.confusion_matrix_image(np.eye(49, dtype=np.int64), KUZUSHIJI49).size) > 1000


def test_a_single_epoch_and_no_error_at_all_can_be_drawn(drawn: Dataset) -> None:
    curve = {"loss": [0.0], "accuracy": [1.0]}
    opened(figures.learning_curves([1], {"train": curve}, 1))
    perfect = np.eye(10)[drawn.test.labels]
    opened(figures.misclassified(drawn.test.pixels, drawn.test.labels, perfect, SPEC))
    assert figures.confusion_matrix_image(np.diag([20] * 10), SPEC, "no error")


def test_the_confusion_matrix_shows_errors_off_the_diagonal() -> None:
    with_error = figures.confusion_matrix_image(MATRIX, SPEC)
    without = figures.confusion_matrix_image(np.diag([90] * 10), SPEC)
    assert with_error.size == without.size
    difference = np.asarray(with_error) != np.asarray(without)
    rows, columns = np.nonzero(difference.any(axis=2))
    assert {(row - 84) // 56 for row in rows} == {2}
    assert {(column - 96) // 56 for column in columns} == {2, 6}


def test_figures_leave_matplotlibs_settings_alone(drawn: Dataset) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.samples(drawn.test.pixels, drawn.test.labels, SPEC)
    assert dict(matplotlib.rcParams) == before
