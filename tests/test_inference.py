"""Predictions of a network, from wherever the pictures come."""

import gzip
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from kmnist.data import Dataset
from kmnist.data.idx import idx_bytes
from kmnist.data.kmnist import SPEC
from kmnist.errors import PictureError
from kmnist.inference import Classifier
from kmnist.prediction.answers import COLUMNS, answers
from kmnist.prediction.explain import occlusion
from kmnist.prediction.sources import count_pictures, find_pictures


def by_brightness(pixels: Tensor) -> Tensor:
    """A network that takes the brightness of the upper left corner for the class: 0, 25, 50, ..."""
    scores = -((pixels[:, 0, 0, None] / 25 - torch.arange(10)) ** 2)
    return scores.log_softmax(dim=1)


CLASSIFIER = Classifier(by_brightness, SPEC, "brightness")


def of_class(number: int) -> Any:
    image = np.zeros((28, 28), np.uint8)
    image[0, 0] = 25 * number
    return image


def test_predictions() -> None:
    predictions = CLASSIFIER.predict(np.stack([of_class(3), of_class(9)]))
    assert list(predictions.classes) == [3, 9]
    assert predictions.kana == ["つ", "を"]
    assert predictions.romaji == ["tsu", "wo"]
    assert predictions.probabilities.sum(axis=1) == pytest.approx([1, 1])
    assert predictions.candidates()[1].tolist() == [9, 8, 7]
    assert len(CLASSIFIER.predict(of_class(1))) == 1
    assert len(CLASSIFIER.predict(np.zeros((0, 28, 28)))) == 0
    many = np.stack([of_class(number % 10) for number in range(5_000)])
    assert list(CLASSIFIER.predict(many).classes) == [number % 10 for number in range(5_000)]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 27, 28)), r"images of shape \(2, 27, 28\): must be \(N, 28, 28\)"),
        (np.zeros(784), "must be"),
        ([[1, 2], [3]], "must be an array of numbers"),
        ("text", "must be an array of numbers"),
        (np.full((28, 28), 256), "pixel values from 256 to 256: must be from 0 to 255"),
        (np.full((28, 28), -1), "must be from 0 to 255"),
        (np.full((28, 28), np.nan), "must be from 0 to 255"),
    ],
)
def test_what_cannot_be_predicted_is_told(images: Any, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        CLASSIFIER.predict(images)


@pytest.fixture
def folder(tmp_path: Path, drawn: Dataset) -> Path:
    """Pictures of every kind, two in each file of arrays, one that is damaged and one that is none."""
    images = drawn.test.pixels[:2]
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    Image.fromarray(images[1]).save(tmp_path / "b.jpg", quality=95)
    np.save(tmp_path / "c.npy", images)
    np.savez(tmp_path / "d.npz", images=images)
    (tmp_path / "e.webp").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("left alone")
    (tmp_path / "inner").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "inner" / "f.PNG")
    return tmp_path


def test_everything_in_a_folder_is_found_and_what_is_damaged_is_told(folder: Path, drawn: Dataset) -> None:
    found = list(find_pictures([str(folder)], BytesIO(), (28, 28), raw=True))
    names = [Path(picture.name).name for picture in found]
    assert names == ["a.png", "b.jpg", "c.npy[0]", "c.npy[1]", "d.npz[0]", "d.npz[1]", "e.webp", "f.PNG"]
    assert found[6].image is None
    assert "not a picture" in found[6].error
    for place in (0, 2, 4, 7):
        assert np.array_equal(found[place].image, drawn.test.pixels[0])  # type: ignore[arg-type]
    assert count_pictures([str(folder)]) == 4
    assert count_pictures([str(folder / "c.npy")]) is None


def test_idx_and_standard_input(tmp_path: Path, drawn: Dataset) -> None:
    images = drawn.test.pixels[:3]
    (tmp_path / "images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    content = BytesIO()
    Image.fromarray(images[0]).save(content, "PNG")
    sources = [str(tmp_path / "images-idx3-ubyte"), str(tmp_path / "images-idx3-ubyte.gz"), "-"]
    found = list(find_pictures(sources, BytesIO(content.getvalue()), (28, 28), raw=True))
    assert [picture.error for picture in found] == [""] * 7
    assert np.array_equal(np.stack([cast(Any, picture.image) for picture in found[:3]]), images)
    assert found[6].name == "-"


def test_bad_files_do_not_stop_the_rest(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.zeros((2, 28, 28)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.new("L", (50, 50)).save(tmp_path / "large.png")
    sources = [str(tmp_path / name) for name in ("floats.npy", "objects.npy", "large.png", "none.png")]
    errors = [picture.error for picture in find_pictures(sources, BytesIO(), (28, 28), raw=True)]
    assert [message in error for message, error in zip(
        ["must be uint8", "an array of object (1,)", "raw pictures must be 28 x 28", "No such file"], errors
    )] == [True] * 4  # fmt: skip
    assert (
        next(find_pictures([str(tmp_path / "large.png")], BytesIO(), (28, 28), raw=False)).error
        == "nothing is drawn on it"
    )


def test_answers_have_a_row_for_every_picture(folder: Path) -> None:
    rows = list(answers(CLASSIFIER, find_pictures([str(folder)], BytesIO(), (28, 28), raw=True)))
    assert all(tuple(row) == COLUMNS for row in rows)
    assert rows[0]["kana"] == "お"
    assert rows[0]["class"] == 0
    assert rows[0]["second"] == "き"
    assert (rows[6]["kana"], rows[6]["error"]) == (
        None,
        "not a picture; PNG, JPEG, WEBP, GIF, BMP, TIFF, AVIF, HEIC can be read",
    )


def test_what_spoke_for_an_answer_is_where_the_network_looks() -> None:
    fall = occlusion(CLASSIFIER, of_class(7))
    assert fall.shape == (28, 28)
    assert fall[0, 0] > 1
    assert abs(fall[10:, 10:]).max() < 1e-6
