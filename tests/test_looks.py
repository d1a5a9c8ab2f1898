"""A model reads pictures as its training images look: test images as arrays and as PNGs, through every door."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits, load_sample_images
from sklearn.neighbors import KNeighborsClassifier

from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images, Pixels, load_dataset
from kmnist.data.form import learn_form
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import INK, KMNIST, WHOLE_PICTURE, DataSpec, PictureForm
from kmnist.demo.app import answer_to
from kmnist.errors import NothingDrawn, PictureError
from kmnist.experiment import prepare as split
from kmnist.experiment import train
from kmnist.inference import Classifier, prepare_picture
from kmnist.inference.serving import Served
from kmnist.network import SavedNetwork, load_network, save_network
from kmnist.prediction.labelled import find_labelled
from tests.memory_run import MemoryRun
from tests.nets import drawn_images

TEST = 100  # pictures
ON_SCREEN = 25


def digits() -> Images:
    bunch = load_digits()
    pixels = (bunch.images * 255 / 16).round().astype(np.uint8)
    return Images(pixels, bunch.target.astype(np.int64))


def kana() -> Images:
    return drawn_images(train=600, test=200).train


def inverted(of: Images) -> Images:
    return Images(255 - of.pixels, of.labels)


def with_margin(of: Images) -> Images:
    return Images(np.pad(of.pixels, ((0, 0), (6, 8), (9, 5))), of.labels)


def shapes() -> Images:
    """Filled, some as large as the frame; dark on light."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    pixels = []
    for label in labels:
        image = Image.new("L", (24, 32), 230)
        left, top = rng.integers(1, 6, 2).tolist()
        right, bottom = 23 - int(rng.integers(1, 5)), 31 - int(rng.integers(1, 5))
        draw = ImageDraw.Draw(image)
        if label == 0:
            draw.rectangle((left, top, right, bottom), 30)
        elif label == 1:
            draw.ellipse((left, top, right, bottom), 30)
        else:
            draw.polygon([(left, bottom), (right, bottom), ((left + right) / 2, top)], 30)
        pixels.append(np.asarray(image))
    return Images(np.stack(pixels), labels.astype(np.int64))


def photographs() -> Images:
    """Pieces of two photographs that scikit-learn ships: of a building and of a flower."""
    rng = np.random.default_rng(0)
    pixels, labels = [], []
    for label, photograph in enumerate(load_sample_images().images):
        gray = np.asarray(Image.fromarray(photograph).convert("L"))
        for _ in range(300):
            top, left = rng.integers(0, gray.shape[0] - 32), rng.integers(0, gray.shape[1] - 32)
            pixels.append(gray[top : top + 32, left : left + 32])
            labels.append(label)
    return Images(np.stack(pixels), np.array(labels, np.int64))


SETS: dict[str, tuple[Callable[[], Images], str]] = {
    "digits": (digits, INK),
    "digits, dark on light": (lambda: inverted(digits()), INK),
    "kana, dark on light": (lambda: inverted(kana()), INK),
    "kana with a margin": (lambda: with_margin(kana()), INK),
    "filled shapes": (shapes, INK),
    "photographs of things": (photographs, WHOLE_PICTURE),
}


def png(pixels: Pixels) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def as_dataset(of: Images, folder: Path) -> Dataset:
    """As somebody has it: an .npz file."""
    order = np.random.default_rng(1).permutation(len(of))
    test, rest = of[order[:TEST]], of[order[TEST:]]
    np.savez(folder / "set.npz", x_train=rest.pixels, y_train=rest.labels, x_test=test.pixels, y_test=test.labels)
    return load_dataset(str(folder / "set.npz"), folder)


@pytest.mark.parametrize("name", SETS)
def test_pictures_of_the_test_images_are_answered_as_the_arrays_are(name: str, tmp_path: Path) -> None:
    make, kind = SETS[name]
    data = as_dataset(make(), tmp_path)
    assert data.spec.form.kind == kind
    config = TrainConfig.parse({"hidden": "48", "epochs": 6, "batch_size": 32, "learning_rate": 0.003})
    run = MemoryRun()
    train(config, split(config, data), data.test, run, tmp_path, threads=1)
    assert "figures/prepared.png" in run.files
    assert run.params["prepare"] == "auto"
    save_network(SavedNetwork(run.models[0][0], config, data.spec), tmp_path)
    saved = load_network(tmp_path)
    assert saved.spec.form == data.spec.form  # it travels with the model
    classifier = Classifier(saved.network, saved.spec, "m", saved.calibration)

    labels = data.test.labels
    on_arrays = (classifier.predict(data.test.pixels).classes == labels).mean()
    assert on_arrays > 1.3 / len(data.spec.classes)
    contents = [png(pixels) for pixels in data.test.pixels]
    for place, (content, label) in enumerate(zip(contents, labels)):
        path = tmp_path / "pictures" / data.spec.classes[label].text / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    measured = find_labelled(str(tmp_path / "pictures"), "test", tmp_path, saved)
    served = Served(classifier).predict(
        [base64.b64encode(content).decode() for content in contents], {"output": "classes"}
    )
    shown = [answer_to(classifier, content)["candidates"][0]["text"] for content in contents[:ON_SCREEN]]
    found = {
        "folder": (classifier.predict(measured.images.pixels).classes == measured.images.labels).mean(),
        "served": (np.asarray(served) == labels).mean(),
    }
    assert found == pytest.approx(dict.fromkeys(found, on_arrays), abs=0.01)
    raw = Served(classifier).predict(contents, {"output": "classes", "raw": True})
    assert (np.asarray(raw) == classifier.predict(data.test.pixels).classes).all()
    first = classifier.predict(data.test.pixels[:ON_SCREEN]).romaji
    assert sum(one != other for one, other in zip(shown, first)) <= 1


@pytest.mark.parametrize(
    ("name", "points"),
    [("digits", 0.25), ("kana, dark on light", 0.1), ("kana with a margin", 0.1), ("filled shapes", 0.02)],
)
def test_large_pages_of_either_polarity_are_brought_into_the_form(name: str, points: float) -> None:
    """What is 8 pixels high loses by being enlarged; the others do not."""
    of = SETS[name][0]()
    order = np.random.default_rng(1).permutation(len(of))
    test, rest = of[order[:TEST]], of[order[TEST:]]
    nearest = KNeighborsClassifier(3).fit(rest.pixels.reshape(len(rest), -1), rest.labels)
    spec = DataSpec("x", "X", SPEC.classes, of.pixels.shape[1:], form=learn_form(rest.pixels))

    def accuracy(pixels: list[Pixels]) -> float:
        return float((nearest.predict(np.stack(pixels).reshape(len(test), -1)) == test.labels).mean())

    on_arrays = accuracy(list(test.pixels))
    pages = []
    for pixels in test.pixels:
        large = np.asarray(Image.fromarray(pixels).resize((200, 200 * pixels.shape[0] // pixels.shape[1])))
        pages.append(np.pad(large, ((50, 90), (70, 40)), constant_values=int(np.median(pixels[0]))))
    found = accuracy([prepare_picture(page, spec) for page in pages])
    assert found >= on_arrays - points
    assert accuracy([prepare_picture(255 - page, spec) for page in pages]) == pytest.approx(found, abs=0.02)


def test_kmnists_form_is_that_of_before() -> None:
    assert SPEC.form == PictureForm() == PictureForm.from_json(None)
    assert drawn_images(train=600, test=200).spec.form.kind == KMNIST
    old = {name: value for name, value in SPEC.to_json().items() if name != "form"}
    assert DataSpec.from_json(old).form.kind == KMNIST


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    of = digits()
    np.savez(tmp_path / "x.npz", x=of.pixels, y=of.labels)
    for kind in (KMNIST, INK, WHOLE_PICTURE):
        data = load_dataset(str(tmp_path / "x.npz"), tmp_path, prepare=kind)
        assert data.spec.form.kind == kind
        assert any(f"look like the training images: {data.spec.form}" in note for note in data.notes)
    assert load_dataset(str(tmp_path / "x.npz"), tmp_path, resize=(9, 9)).spec.form.kind == WHOLE_PICTURE


def test_an_empty_picture_is_none_and_a_raw_one_must_fit() -> None:
    form = learn_form(digits().pixels)
    spec = DataSpec("x", "X", SPEC.classes, (8, 8), form=form)
    for shape in ((8, 8), (100, 100), (0, 9)):
        with pytest.raises(NothingDrawn):
            prepare_picture(np.full(shape, 90, np.uint8), spec)
    with pytest.raises(PictureError, match="9 x 7 pixels: raw pictures must be 8 x 8"):
        prepare_picture(np.zeros((7, 9), np.uint8), spec, raw=True)
    picture = digits().pixels[3]
    assert prepare_picture(picture, spec, raw=True) is picture


@pytest.mark.parametrize("values", [{}, {"kind": "odd"}, {"kind": INK, "share": 2, "least_share": 0}, 3])
def test_a_form_that_is_none_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"form|not the description"):
        DataSpec.from_json({**SPEC.to_json(), "form": values})
