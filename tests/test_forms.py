"""What people have is taken for training: a row of the documentation's table is a test here."""

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset, DataSpec, Images, load_dataset
from kmnist.data.forms import FORMS as READERS
from kmnist.data.idx import idx_bytes
from kmnist.data.spec import ClassLabel, labels
from kmnist.errors import DataError
from kmnist.network import SavedNetwork
from kmnist.pictures.skipped import Skipped
from kmnist.prediction.decoding import prepare
from kmnist.prediction.labelled import find_labelled
from kmnist.prediction.picture import Picture
from kmnist.prediction.sources import find_pictures
from tests import forms
from tests.forms import CLASSES, FORMS, images, png, write_files
from tests.nets import network


def load(path: Path, **reading: object) -> Dataset:
    given = {name: str(value) for name, value in reading.items()}
    return load_dataset(str(path), path, **TrainConfig.parse(given).reading)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_taken(form: str, tmp_path: Path) -> None:
    data = load(FORMS[form](tmp_path))
    expected = CLASSES if form.startswith(forms.NAMED) else ("0", "1", "2")
    assert data.spec.classes == labels(expected)
    for split, found in (("train", data.train), ("test", data.test)):
        of = images(split)
        order = np.lexsort(found.pixels.reshape(len(found), -1).T), np.lexsort(of.pixels.reshape(len(of), -1).T)
        assert (found.pixels[order[0]] == of.pixels[order[1]]).all()  # folders have another order
        assert (found.labels[order[0]] == of.labels[order[1]]).all()
        assert data.spec.digests[split] == found.digest


@pytest.mark.parametrize("form", ["folders", "npz", "csv", "tar"])
def test_what_has_no_test_split_is_split_with_a_seed(form: str, tmp_path: Path) -> None:
    of = images("train")
    path = tmp_path / "mine"
    match form:
        case "folders":
            write_files(path, of)
        case "npz":
            path = tmp_path / "mine.npz"
            np.savez(path, images=of.pixels, labels=of.labels)
        case "csv":
            path = tmp_path / "mine.csv"
            table = pd.DataFrame(of.pixels.reshape(len(of), -1), columns=[f"p{place}" for place in range(64)])
            table.insert(3, "label", [CLASSES[label] for label in of.labels])  # by its name, wherever it is
            table.to_csv(path, index=False)
        case "tar":
            write_files(tmp_path / "x", of)
            path = Path(shutil.make_archive(str(tmp_path / "mine"), "tar", tmp_path / "x"))
    data, again, other = load(path), load(path), load(path, test_seed=1)
    assert (len(data.train), len(data.test)) == (19, 5)
    assert data.spec.digests == again.spec.digests != other.spec.digests
    assert len(load(path, test_fraction=0.5).test) == 12
    rows = [image.tobytes() for image in [*data.train.pixels, *data.test.pixels]]
    known = {image.tobytes(): label for image, label in zip(of.pixels, of.labels)}
    assert sorted(rows) == sorted(known)
    assert [known[row] for row in rows] == [*data.train.labels, *data.test.labels]
    assert any("there is no test split: 5 of 24 pictures" in note for note in data.notes)
    assert data.spec.name == "mine"


def test_pictures_need_not_be_square_gray_or_of_one_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(12):
        colour = rng.integers(0, 256, (10, 7, 3)).astype(np.uint8)
        path = tmp_path / CLASSES[place % 3] / f"{place}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png(colour))
    data = load(tmp_path, test_fraction=0.25)
    assert data.spec.shape == (10, 7)
    assert "12 pictures are in colour: they are made gray" in data.notes
    with Image.open(tmp_path / "ki" / "0.png") as image:
        gray = np.asarray(image.convert("L"))
    assert any((gray == found).all() for found in [*data.train.pixels, *data.test.pixels])

    (tmp_path / "ki" / "odd.png").write_bytes(png(np.zeros((4, 5), np.uint8)))
    with pytest.raises(DataError, match=r"2 sizes \(.*1 of 5 x 4.*give --resize H,W .* --resize 10,7"):
        load(tmp_path, test_fraction=0.25, test_seed=next(seed for seed in range(9) if seed != 3))
    assert load(tmp_path, resize="6,5").spec.shape == (6, 5)
    assert load(tmp_path, resize="6").spec.shape == (6, 6)


def test_colour_in_arrays_is_made_gray_as_in_pictures(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (9, 6, 6, 3)).astype(np.uint8)
    for name, array in (("last", colour), ("first", colour.transpose(0, 3, 1, 2))):
        np.savez(tmp_path / f"{name}.npz", x=array, y=np.arange(9) % 3)
        data = load(tmp_path / f"{name}.npz", test_fraction=0.34)
        here = {image.tobytes() for image in [*data.train.pixels, *data.test.pixels]}
        assert here == {np.asarray(Image.fromarray(one).convert("L")).tobytes() for one in colour}


def test_emnist_is_transposed(tmp_path: Path) -> None:
    path = FORMS["IDX, EMNIST's names"](tmp_path)
    assert (load(path, transpose=True).train.pixels == images("train").pixels.transpose(0, 2, 1)).all()
    write_files(tmp_path / "wide", Images(np.zeros((6, 4, 9), np.uint8) + 9, np.arange(6) % 2))
    assert load(tmp_path / "wide", transpose=True, test_fraction=0.4).spec.shape == (9, 4)


def test_of_several_sets_one_is_named(tmp_path: Path) -> None:
    for name in ("letters", "digits"):
        forms.idx(f"emnist-{name}-{{}}-images-idx3-ubyte", f"emnist-{name}-{{}}-labels-idx1-ubyte", test="test")(
            tmp_path
        )
    with pytest.raises(DataError, match=r"several data sets, emnist-digits, emnist-letters: name one, for example"):
        load(tmp_path)
    assert load(tmp_path / "emnist-letters").spec.name == "emnist-letters"


@pytest.mark.parametrize(
    ("first", "given", "texts"),
    [("-1", "", ("1", "2", "3")), ("0", "", ("0", "1", "2", "3")), ("-1", "a\nb,β\nc\n", ("a", "b", "c"))],
)
def test_labels_from_1_are_no_phantom_class(first: str, given: str, texts: tuple[str, ...], tmp_path: Path) -> None:
    train, test = images("train"), images("test")
    path = tmp_path / "x.npz"
    np.savez(path, x_train=train.pixels, y_train=train.labels + 1, x_test=test.pixels, y_test=test.labels + 1)
    if given:
        (tmp_path / "classes.csv").write_text(given)
    data = load(path, first_label=first)
    assert tuple(label.text for label in data.spec.classes) == texts
    assert (data.train.labels == train.labels + (first == "0")).all()
    told = " ".join(data.notes)
    assert ("labels go from 1 to 3: the first class is 1" in told) == (first == "-1")
    assert ("no picture is of class 0" in told) == (first == "0")
    if given:
        assert data.spec.classes[1] == ClassLabel("b", "β")


def test_gaps_and_classes_of_one_split_are_named(tmp_path: Path) -> None:
    pixels = images("train").pixels[:6]
    path = tmp_path / "x.npz"
    np.savez(path, x_train=pixels, y_train=[0, 1, 2, 0, 1, 2], x_test=pixels[:3], y_test=[0, 1, 5])
    notes = load(path).notes
    assert "no picture is of class 3, 4" in notes
    assert "in test only, not in train: class 5" in notes
    assert "in train only, not in test: class 2" in notes


def _idx(folder: Path, name: str) -> None:
    FORMS["IDX, MNIST's names"](folder)
    (folder / name).unlink()


def _idx_pointer(folder: Path) -> None:
    FORMS["IDX, MNIST's names"](folder)
    _pointer("t10k-labels-idx1-ubyte")(folder)


def _test_only(folder: Path) -> None:
    _idx(folder, "train-labels-idx1-ubyte")
    (folder / "train-images-idx3-ubyte").unlink()


def _npz(**arrays: object) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "x.npz", **arrays)  # type: ignore[arg-type]


X, Y = images("train").pixels, images("train").labels
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


def _pointer(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(POINTER)


def _pictures(folder: Path) -> None:
    for place in range(3):
        (folder / f"{place}.png").write_bytes(png(X[place]))


def _one_class(folder: Path) -> None:
    write_files(folder, Images(X, np.zeros(len(X), np.int64)))


def _mixed(folder: Path) -> None:
    write_files(folder / "train", images("train"))
    write_files(folder, images("test"))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda folder: None, "is no data set: the folder is empty. What is taken is"),
    "another kind of file": (
        lambda folder: (folder / "model.pt").write_bytes(b"x"),
        r"is no data set: it holds 1 \.pt\. What is taken is",
    ),
    "IDX without the labels of one split": (
        lambda folder: _idx(folder, "t10k-labels-idx1-ubyte"),
        "there are no test labels; must be train-images.*rename yours so",
    ),
    "IDX of a test split only": (
        _test_only,
        "and no train images",
    ),
    "a Git LFS pointer for IDX": (
        _idx_pointer,
        "t10k-labels-idx1-ubyte is a Git LFS pointer, not the file itself: `git lfs pull`",
    ),
    "a Git LFS pointer for npz": (_pointer("x.npz"), "x.npz is a Git LFS pointer"),
    "a Git LFS pointer for CSV": (_pointer("x.csv"), "x.csv is a Git LFS pointer"),
    "a Git LFS pointer for parquet": (_pointer("x.parquet"), "x.parquet is a Git LFS pointer"),
    "pixels 0 and 1": (_npz(x=X % 2, y=Y), "pixel values from 0 to 1: .*multiply them by 255, or give --pixel-max 1"),
    "pixels of 16 bits": (_npz(x=X.astype(np.uint16) * 257, y=Y), "must be from 0 to 255; give --pixel-max 65535"),
    "negative pixels": (_npz(x=X.astype(float) - 9, y=Y), "pixel values from -9 to"),
    "pixels that are no numbers": (_npz(x=np.full(X.shape, np.nan), y=Y), "pixel values from nan"),
    "rows that are no squares": (_npz(x=X.reshape(-1, 64)[:, :60], y=Y), r"has shape \(24, 60\): must be \(N, H, W\)"),
    "more pictures than labels": (_npz(x=X, y=Y[:9]), "24 pictures and 9 labels"),
    "one-hot labels": (_npz(x=X, y=np.eye(3)[Y]), r"labels of shape \(24, 3\).*argmax"),
    "npz without pairs": (_npz(a=X, b=Y), r"holds a \(24, 8, 8\), b \(24,\): must be pairs of pixels and labels"),
    "npz with a pickle": (_npz(x=X, y=np.array([None] * 24)), "the array y cannot be read"),
    "no npz": (lambda folder: (folder / "x.npz").write_bytes(b"x"), "x.npz cannot be read as .npz"),
    "no parquet": (lambda folder: (folder / "x.parquet").write_bytes(b"x"), "cannot be read as parquet"),
    "no tar": (lambda folder: (folder / "x.tar").write_bytes(b"x"), "x.tar"),
    "pictures in no folder of a class": (
        _pictures,
        "its 3 pictures lie in no folder of a class; must be a folder for each",
    ),
    "one class": (_one_class, "there is one class only, ki"),
    "train beside folders of classes": (_mixed, "beside train there are folders that are of neither: ki, na, o"),
    "labels below the first": (_npz(x=X, y=Y - 1), "none may be below --first-label 0"),
    "a class of one picture": (
        _npz(x=X, y=np.minimum(np.arange(24), 1)),
        "--test-fraction 0.2 of its 24 pictures cannot be kept for one",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_says_what_lies_there_and_the_way_out(what: str, tmp_path: Path) -> None:
    write, message = REFUSED[what]
    write(tmp_path)
    files = [*tmp_path.iterdir()]
    path = files[0] if len(files) == 1 and files[0].suffix == ".tar" else tmp_path
    with pytest.raises(DataError, match=f"(?s){message}") as told:
        load(path)
    assert "delete" not in str(told.value)


def test_a_path_that_is_not_there_is_told_with_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(DataError, match=r"there is no such file or folder; did you mean .*letters"):
        load(tmp_path / "leters")


@pytest.mark.parametrize(("most", "scale"), [(1, 1 / 255), (16, 16 / 255), (65535, 257)])
def test_pixels_of_another_range_are_scaled_where_it_is_said(most: int, scale: float, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz", x_train=X.astype(float) * scale, y_train=Y, x_test=X[:6].astype(float) * scale, y_test=Y[:6]
    )
    assert (load(tmp_path, pixel_max=most).train.pixels == X).all()


def test_pictures_that_cannot_be_read_are_left_out_and_told(tmp_path: Path) -> None:
    write_files(tmp_path, images("train"))
    (tmp_path / "ki" / "broken.png").write_bytes(b"no picture")
    data = load(tmp_path)
    assert len(data.train) + len(data.test) == 24
    assert any(
        "left out 1 pictures that cannot be read; the first: " in note and "broken.png" in note for note in data.notes
    )


def test_many_pictures_are_decoded_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, images("train"))
    (tmp_path / "ki" / "broken.png").write_bytes(b"no picture")
    alone = load(tmp_path)
    monkeypatch.setattr("kmnist.data.decoded.WORTH", 0)
    monkeypatch.setattr("kmnist.data.decoded.BATCH", 5)
    monkeypatch.setattr("kmnist.data.decoded.available_cores", lambda: 2)
    together = load(tmp_path)
    assert (together.spec.digests, together.notes) == (alone.spec.digests, alone.notes)


def test_kmnist_is_found_under_other_names(drawn: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kmnist.data import kmnist as official

    shapes = {"images": (len(drawn.train), 28, 28), "labels": (len(drawn.train),)}
    known = {}
    for prefix, of in (("train", drawn.train), ("t10k", drawn.test)):
        for kind, shape in (("images-idx3", (len(of), 28, 28)), ("labels-idx1", (len(of),))):
            known[f"{prefix}-{kind}-ubyte.gz"] = (shape, "")
    monkeypatch.setattr(official, "FILES", known)
    monkeypatch.setattr(official, "OFFICIAL_DIGESTS", {"train": drawn.train.digest, "test": drawn.test.digest})
    monkeypatch.setattr(official, "MIRRORS", ())
    assert shapes
    dotted, npz = tmp_path / "dotted", tmp_path / "npz"
    for folder in (dotted, npz):
        folder.mkdir()
    for prefix, split, of in (("train", "train", drawn.train), ("t10k", "test", drawn.test)):
        (dotted / f"{prefix}-images.idx3-ubyte").write_bytes(idx_bytes(of.pixels))
        (dotted / f"{prefix}-labels.idx1-ubyte").write_bytes(idx_bytes(of.labels.astype(np.uint8)))
        np.savez(npz / f"kmnist-{split}-imgs.npz", of.pixels)
        np.savez(npz / f"kmnist-{split}-labels.npz", of.labels.astype(np.uint8))
    for folder in (dotted, npz):
        assert load_dataset("auto", folder).spec.official

    # Beside files that look like it, the sample is never taken.
    (dotted / "t10k-labels.idx1-ubyte").unlink()
    with pytest.raises(DataError, match=rf"(?s)In {dotted} there are t10k-images.idx3-ubyte, .* --dataset {dotted}"):
        load_dataset("auto", dotted)
    (npz / "kmnist-test-imgs.npz").write_bytes(POINTER)
    with pytest.raises(DataError, match="Git LFS pointer"):
        load_dataset("auto", npz)


def test_each_reader_says_what_it_takes() -> None:
    for name, reader in READERS.items():
        assert reader.expects, name


def test_tables_of_pixels_and_arrays_of_rows_are_pictures_to_predict_too(tmp_path: Path) -> None:
    of = images("train")
    path = FORMS["CSV with a header"](tmp_path) / "set_train.csv"
    found = [picture.item for picture in find_pictures([str(path)], BytesIO(), Skipped())]
    assert (np.stack([item for item in found if isinstance(item, np.ndarray)]) == of.pixels).all()
    rows = prepare(
        [Picture("rows.npy", of.pixels.reshape(len(of), -1))], DataSpec("x", "X", labels(CLASSES), (8, 8)), raw=False
    )
    assert (
        "an array of shape (24, 64): looks like 24 pictures of 64 pixels each; save it as (N, 8, 8)" in rows.errors[0]
    )
    skipped = Skipped()
    [*pictures] = find_pictures([str(FORMS["npz, Keras"](tmp_path))], BytesIO(), skipped)
    assert len(pictures) == len(of)
    assert "arrays beside x_train" in str(skipped)


@pytest.mark.parametrize("form", ["npz, Keras", "CSV without a header", "parquet, Hugging Face", "tar of folders"])
def test_a_model_is_measured_on_any_form(form: str, tmp_path: Path) -> None:
    spec = DataSpec("letters", "Letters", labels(CLASSES), (8, 8))
    saved = SavedNetwork(network(TrainConfig.parse({"hidden": "4"}), spec), TrainConfig.parse({}), spec)
    measured = find_labelled(str(FORMS[form](tmp_path)), "test", tmp_path, saved, raw=True)
    of = images("test")
    assert sorted(zip(map(bytes, measured.images.pixels), measured.images.labels)) == sorted(
        zip(map(bytes, of.pixels), of.labels)
    )
