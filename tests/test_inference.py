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

from kmnist.calibration import Calibration
from kmnist.data import Dataset
from kmnist.data.idx import idx_bytes
from kmnist.data.kmnist import SPEC
from kmnist.errors import PictureError
from kmnist.inference import Classifier
from kmnist.pictures.skipped import Skipped
from kmnist.prediction.answers import COLUMNS, answers
from kmnist.prediction.decoding import Prepared, in_batches, prepare
from kmnist.prediction.explain import occlusion
from kmnist.prediction.sources import find_pictures
from tests.reading import read


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


def test_what_is_improbable_is_unsure_as_is_an_empty_picture() -> None:
    classifier = Classifier(by_brightness, SPEC, "brightness", Calibration(temperature=0.5, unsure_below=0.7))
    between = of_class(3)
    between[0, 0] += 12
    images = np.stack([of_class(3), between, np.zeros((28, 28), np.uint8)])
    found = classifier.predict(images)
    assert found.unsure.tolist() == [False, True, True]
    assert found.probabilities[0, 3] > CLASSIFIER.predict(images).probabilities[0, 3]  # sharpened
    assert found.probabilities.sum(axis=1) == pytest.approx([1, 1, 1])
    assert [row["unsure"] for row in found.rows()] == [False, True, True]
    assert classifier.predict(images, unsure_below=0).unsure.tolist() == [False, False, True]
    assert classifier.predict(images, unsure_below=1).unsure.tolist() == [True, True, True]
    with pytest.raises(PictureError, match="unsure_below=2: must be a probability, from 0 to 1"):
        classifier.predict(images, unsure_below=2)


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
    skipped = Skipped()
    found = list(read(folder, raw=True, skipped=skipped))
    names = [Path(picture.name).name for picture in found]
    assert names == ["a.png", "b.jpg", "c.npy[0]", "c.npy[1]", "d.npz[0]", "d.npz[1]", "e.webp", "f.PNG"]
    assert found[6].image is None
    assert "not a picture" in found[6].error
    for place in (0, 2, 4, 7):
        assert np.array_equal(found[place].image, drawn.test.pixels[0])  # type: ignore[arg-type]
    assert skipped.listed == 6
    assert str(skipped) == "left out 1 file: 1 .txt (notes.txt)"


def test_idx_and_standard_input(tmp_path: Path, drawn: Dataset) -> None:
    images = drawn.test.pixels[:3]
    (tmp_path / "images-idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    content = BytesIO()
    Image.fromarray(images[0]).save(content, "PNG")
    sources = [str(tmp_path / "images-idx3-ubyte"), str(tmp_path / "images-idx3-ubyte.gz"), "-"]
    found = list(read(*sources, stdin=content.getvalue(), raw=True))
    assert [picture.error for picture in found] == [""] * 7
    assert np.array_equal(np.stack([cast(Any, picture.image) for picture in found[:3]]), images)
    assert found[6].name == "-"


def test_bad_files_do_not_stop_the_rest(tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.zeros((2, 28, 28)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.new("L", (50, 50)).save(tmp_path / "large.png")
    sources = [str(tmp_path / name) for name in ("floats.npy", "objects.npy", "large.png", "none.png")]
    errors = [picture.error for picture in read(*sources, raw=True)]
    assert [message in error for message, error in zip(
        ["must be uint8", "an array of object (1,)", "raw pictures must be 28 x 28", "No such file"], errors
    )] == [True] * 4  # fmt: skip
    assert next(read(tmp_path / "large.png")).error == "nothing is drawn on it"


def test_answers_have_a_row_for_every_picture(folder: Path) -> None:
    batches = in_batches(find_pictures([str(folder)], BytesIO(), Skipped()))
    [columns] = answers(CLASSIFIER, (prepare(batch, SPEC, True) for batch in batches))
    assert tuple(columns) == COLUMNS
    assert columns["kana"][0] == "お"
    assert columns["class"][0] == 0
    assert columns["second"][0] == "き"
    assert columns["kana"][6] is None
    assert "".join(map(str, columns["error"])) == columns["error"][6]


def test_answers_do_not_depend_on_how_pictures_were_read(drawn: Dataset) -> None:
    """By the size of a batch the last bits of a probability change, so it is always the same."""
    chance = np.random.default_rng(0)
    images = np.concatenate([drawn.test.pixels] * 25)
    names = [str(number) for number in range(len(images))]
    errors = ["damaged" if number % 1_000 == 7 else "" for number in range(len(images))]
    sizes: list[int] = []

    def network(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return by_brightness(pixels)

    def answered(cuts: list[int]) -> list[tuple[object, ...]]:
        ends = [*cuts, len(images)]
        parts = [Prepared(names[a:b], images[a:b], errors[a:b]) for a, b in zip([0, *cuts], ends)]
        columns = list(answers(Classifier(network, SPEC, "brightness"), parts))
        return [row for part in columns for row in zip(*part.values())]

    whole = answered([])
    assert [row[0] for row in whole] == names
    assert whole == answered(sorted(chance.integers(0, len(images), 40).tolist()))
    assert sizes == [2_045, 2_046, 904] * 2


def test_what_spoke_for_an_answer_is_where_the_network_looks() -> None:
    fall = occlusion(CLASSIFIER, of_class(7))
    assert fall.shape == (28, 28)
    assert fall[0, 0] > 1
    assert abs(fall[10:, 10:]).max() < 1e-6
