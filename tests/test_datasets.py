"""The contract of a data set, held against each; and the two that come in other files than Kuzushiji-MNIST."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kmnist.data import DATASETS, Dataset, DataSpec, Images, load_dataset
from kmnist.data import kuzushiji49 as k49
from kmnist.data.download import Unreachable
from kmnist.data.idx import idx_bytes
from kmnist.data.sample import draw_dataset
from kmnist.data.spec import labels
from kmnist.errors import DataError

COUNTS = {"train": 490, "test": 98}


def images(split: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(COUNTS[split])
    count = COUNTS[split]
    some = np.tile(np.arange(classes), count // classes // 2 or 1)
    numbers = np.concatenate([some, rng.integers(0, classes // 2, count - len(some))]).astype(np.uint8)
    return rng.integers(0, 256, (count, 28, 28)).astype(np.uint8), numbers


@pytest.fixture
def k49_files(tmp_path: Path) -> Path:
    """Four files of the published form."""
    for split in COUNTS:
        pixels, numbers = images(split, 49)
        np.savez_compressed(tmp_path / f"k49-{split}-imgs.npz", pixels)
        np.savez_compressed(tmp_path / f"k49-{split}-labels.npz", numbers)
    return tmp_path


@pytest.fixture
def idx_folder(tmp_path: Path) -> Path:
    """As Fashion-MNIST comes, with its labels' texts."""
    folder = tmp_path / "Fashion MNIST"
    folder.mkdir()
    for split, prefix in (("train", "train"), ("test", "t10k")):
        pixels, numbers = images(split, 10)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(numbers))
    texts = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
    (folder / "classes.csv").write_text("\n".join(texts))
    return folder


@pytest.fixture(params=["sample", "kuzushiji49", "folder", pytest.param("kmnist", marks=pytest.mark.real_data)])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    match request.param:
        case "kuzushiji49":
            return load_dataset("kuzushiji49", request.getfixturevalue("k49_files"), progress=False)
        case "folder":
            return load_dataset(str(request.getfixturevalue("idx_folder")), tmp_path)
        case "kmnist":
            found: Dataset = request.getfixturevalue("kmnist")
            return found
        case name:
            return load_dataset(name, tmp_path)


def test_the_contract(data: Dataset) -> None:
    spec = data.spec
    for split, of in (("train", data.train), ("test", data.test)):
        assert of.pixels.dtype == np.uint8
        assert of.pixels.shape == (len(of), *spec.shape)
        assert of.labels.max() < len(spec.classes)
        assert spec.digests[split] == of.digest
    assert len({label.text for label in spec.classes}) == len(spec.classes)
    assert len(spec.names) == len(spec.classes)
    assert DataSpec.from_json(spec.to_json()) == spec
    assert data.source
    assert spec.name == spec.name.lower()


def test_kuzushiji49_knows_its_classes(k49_files: Path) -> None:
    data = load_dataset("kuzushiji49", k49_files, progress=False)
    assert len(data.spec.classes) == 49
    assert (data.spec.names[0], data.spec.names[1], data.spec.names[48]) == ("0 a あ", "1 i い", "48 iteration ゝ")
    assert data.train.labels.tolist() == images("train", 49)[1].tolist()
    assert not data.spec.official  # by its numbers of images


def test_the_whole_of_kuzushiji49_is_official(k49_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k49, "COUNTS", COUNTS)
    assert k49.load_kuzushiji49(k49_files).spec.official


def spoil(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "cannot be read .*move it away"),
        (lambda path: path.write_bytes(b"PK\3\4"), "cannot be read"),
        (lambda path: np.savez(path, np.zeros((3, 28, 29), np.uint8)), r"holds uint8 \(3, 28, 29\): must be uint8"),
        (lambda path: np.savez(path, np.zeros((3, 28, 28))), r"holds float64"),
        (lambda path: np.savez(path, np.array([object()])), r"holds object"),
        (lambda path: np.savez(path, other=np.zeros(3)), "cannot be read"),
    ],
)
def test_a_spoilt_file_of_kuzushiji49_is_named(k49_files: Path, spoilt: Callable[[Path], object], message: str) -> None:
    spoilt(k49_files / "k49-test-imgs.npz")
    with pytest.raises(DataError, match=f"(?s)Kuzushiji-49 in .*k49-test-imgs.npz.*{message}"):
        load_dataset("kuzushiji49", k49_files, progress=False)


def test_an_array_that_claims_to_be_huge_is_refused_before_it_is_unpacked(k49_files: Path) -> None:
    path = k49_files / "k49-train-imgs.npz"
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 28, 28), np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("arr_0.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {**header, "shape": (10**9, 28, 28)})
        member.write(bytes(10_000_000))
    with pytest.raises(DataError, match=r"at most \(232365, 28, 28\)"):
        load_dataset("kuzushiji49", k49_files, progress=False)


def test_missing_files_of_kuzushiji49_are_fetched_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match=r"k49-train-imgs\.npz is not there"):
        k49.load_kuzushiji49(tmp_path, fetch=False)
    monkeypatch.setattr(k49, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(Unreachable, match=r"(?s)k49-train-imgs.*127\.0\.0\.1:9"):
        k49.load_kuzushiji49(tmp_path, progress=False)


def test_a_folder_has_the_name_of_its_folder_and_the_labels_of_its_table(idx_folder: Path, tmp_path: Path) -> None:
    spec = load_dataset(str(idx_folder), tmp_path).spec
    assert (spec.name, spec.title, spec.official) == ("fashion-mnist", "Fashion MNIST", False)
    assert spec.names[:2] == ["0 T-shirt/top", "1 Trouser"]
    (idx_folder / "classes.csv").unlink()
    assert load_dataset(str(idx_folder), tmp_path).spec.classes == labels("0123456789")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "classes.csv",
            b"a\nb\n",
            "labels go up to 9, and there are names of 2 classes in classes.csv: must be a line",
        ),
        ("classes.csv", b"a\n" * 10, "names 1 classes in 10 lines"),
        ("classes.csv", b"\xff\xfe", "cannot be read"),
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((3, 28, 28), np.uint8)), r"\(3, 28, 28\) pixels and \(98,\)"),
        ("train-labels-idx1-ubyte", b"nothing", "begins with"),
    ],
)
def test_a_folder_that_is_spoilt_is_told(
    idx_folder: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (idx_folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(str(idx_folder), tmp_path)


def test_a_name_that_is_no_data_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset=kmnits: must be auto, kmnist, kuzushiji49, sample, or the path"):
        load_dataset("kmnits", tmp_path)
    with pytest.raises(
        DataError, match=r"(?s)is no data set: the folder is empty\. What is taken is.*train-images-idx3"
    ):
        load_dataset(str(tmp_path), tmp_path)


@pytest.mark.parametrize("name", ["kmnist", "sample", "auto", "added"])
def test_a_folder_has_no_name_that_another_data_set_has(
    name: str, idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETS, "added", lambda folder, progress: draw_dataset(train=10, test=10))
    folder = tmp_path / "x" / name
    shutil.copytree(idx_folder, folder)
    assert load_dataset(f"{folder}", tmp_path).spec.name == f"{name}-folder"


def test_a_description_that_is_something_else_is_refused() -> None:
    for values in ({}, {"classes": 3}, {"classes": [3]}, {"classes": [], "shape": [1]}):
        with pytest.raises(ValueError, match=r"not the description|unpack|0 classes"):
            DataSpec.from_json(values)


def test_images_must_have_a_label_each() -> None:
    with pytest.raises(DataError, match="must be uint8 of shape"):
        Images(np.zeros((2, 28, 28), np.uint8), np.array([3]))
