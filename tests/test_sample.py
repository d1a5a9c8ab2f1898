import numpy as np

from kmnist.data import Dataset
from kmnist.data.kmnist import CLASSES
from kmnist.data.sample import draw_dataset
from kmnist.fonts import font_path


def test_it_has_the_shape_and_the_classes_of_the_real_one(drawn: Dataset) -> None:
    assert drawn.spec.name == "sample"
    assert drawn.train.pixels.shape == (600, 28, 28)
    assert np.bincount(drawn.train.labels).tolist() == [60] * 10
    assert np.bincount(drawn.test.labels).tolist() == [20] * 10


def test_the_same_seed_draws_the_same_images(drawn: Dataset) -> None:
    assert draw_dataset(train=600, test=200).train.digest == drawn.train.digest
    assert draw_dataset(seed=1, train=600, test=200).train.digest != drawn.train.digest


def test_no_two_images_are_alike(drawn: Dataset) -> None:
    pixels = np.concatenate([drawn.train.pixels, drawn.test.pixels])
    assert len({image.tobytes() for image in pixels}) == len(pixels)


def test_the_font_has_every_kana() -> None:
    from matplotlib.ft2font import FT2Font

    characters = FT2Font(str(font_path())).get_charmap()
    assert all(ord(label.glyph) in characters for label in CLASSES)
