import gzip
import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kmnist.data import Dataset, Images, Pixels, download, load_dataset, split
from kmnist.data import kmnist as official
from kmnist.data.idx import idx_bytes, read_idx
from kmnist.data.kmnist import load_kmnist
from kmnist.errors import DataError, SettingError

uint8_arrays = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6))


@given(uint8_arrays, st.booleans())
def test_idx_to_bytes_to_idx(tmp_path_factory: pytest.TempPathFactory, array: Pixels, zipped: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "round.idx"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    read = read_idx(path)
    assert read.shape == array.shape
    assert (read == array).all()


@given(uint8_arrays, st.data(), st.booleans())
@settings(max_examples=50)
def test_an_idx_file_cut_anywhere_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, array: Pixels, draw: st.DataObject, zipped: bool
) -> None:
    whole = gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array)
    path = tmp_path_factory.getbasetemp() / "cut.idx"
    path.write_bytes(whole[: draw.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DataError, match=r"cut\.idx"):
        read_idx(path)


def test_a_wrong_magic_number_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "page.gz"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="begins with 3c 68 74 6d: an IDX file of unsigned bytes begins with 00 00 08"):
        read_idx(path)


def test_a_wrong_shape_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "small.idx"
    path.write_bytes(idx_bytes(np.zeros((2, 28, 28), np.uint8)))
    with pytest.raises(DataError, match=r"has shape \(2, 28, 28\), must be \(60000, 28, 28\)"):
        read_idx(path, (60_000, 28, 28))


def test_labels_out_of_range_are_an_error(drawn: Dataset) -> None:
    wrong = Images(np.zeros((2, 28, 28), np.uint8), np.array([3, 12]))
    with pytest.raises(DataError, match=r"the test labels go from 3 to 12: must lie in 0\.\.9"):
        Dataset.build(drawn.spec, "here", drawn.train, wrong)


def test_images_of_another_shape_are_an_error(drawn: Dataset) -> None:
    wide = Images(np.zeros((2, 28, 30), np.uint8), np.array([3, 1]))
    with pytest.raises(DataError, match=r"the train images are \(28, 30\): those of the drawn sample are \(28, 28\)"):
        Dataset.build(drawn.spec, "here", wide, drawn.test)


def test_the_digest_covers_every_pixel_and_label(drawn: Dataset) -> None:
    images = drawn.test
    pixels, labels = images.pixels.copy(), images.labels.copy()
    pixels[-1, -1, -1] ^= 1
    labels[-1] = (labels[-1] + 1) % 10
    digests = {Images(*part).digest for part in [(images.pixels, images.labels), (pixels, images.labels)]}
    assert len(digests | {Images(images.pixels, labels).digest}) == 3
    assert images.digest == hashlib.sha256(images.pixels.tobytes() + bytes(images.labels.tolist())).hexdigest()


def test_the_split_is_stratified_disjoint_and_seeded(drawn: Dataset) -> None:
    train, valid = split(drawn.train, 0.1, seed=3)
    assert np.bincount(train.labels).tolist() == [54] * 10
    assert np.bincount(valid.labels).tolist() == [6] * 10
    rows = {image.tobytes() for image in train.pixels} | {image.tobytes() for image in valid.pixels}
    assert rows == {image.tobytes() for image in drawn.train.pixels}
    assert split(drawn.train, 0.1, seed=3)[1].digest == valid.digest != split(drawn.train, 0.1, seed=4)[1].digest


def test_a_split_that_leaves_a_class_out_is_an_error(drawn: Dataset) -> None:
    with pytest.raises(SettingError, match=r"valid_fraction=0\.001: leaves too few of 600 images"):
        split(drawn.train, 0.001, seed=0)


# Finding and fetching: stand-in files of the official names, served over real HTTP.


@pytest.fixture
def tiny_files(drawn: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four small gzipped files that count as the official ones."""
    folder = tmp_path / "served"
    folder.mkdir()
    known = {}
    for prefix, images in (("train", drawn.train), ("t10k", drawn.test)):
        for kind, array in (("images-idx3", images.pixels), ("labels-idx1", images.labels.astype(np.uint8))):
            content = gzip.compress(idx_bytes(array), mtime=0)
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(content)
            known[f"{prefix}-{kind}-ubyte.gz"] = (array.shape, hashlib.md5(content).hexdigest())
    monkeypatch.setattr(official, "FILES", known)
    monkeypatch.setattr(official, "OFFICIAL_DIGESTS", {"train": drawn.train.digest, "test": drawn.test.digest})
    monkeypatch.setattr(official, "MIRRORS", ())
    return folder


@pytest.fixture
def http_root(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL that serves it."""
    root = tmp_path / "www"
    root.mkdir()
    handler = partial(QuietHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


@pytest.mark.parametrize("place", [".", "KMNIST/raw"])
@pytest.mark.parametrize("unpacked", [False, True])
def test_files_are_found_zipped_or_not_here_or_in_torchvisions_folder(
    tiny_files: Path, tmp_path: Path, drawn: Dataset, place: str, unpacked: bool
) -> None:
    folder = tmp_path / "data" / place
    folder.mkdir(parents=True)
    for path in tiny_files.iterdir():
        content = gzip.decompress(path.read_bytes()) if unpacked else path.read_bytes()
        (folder / (path.stem if unpacked else path.name)).write_bytes(content)
    loaded = load_kmnist(tmp_path / "data")
    assert (loaded.spec.name, loaded.train.digest, loaded.test.digest) == (
        "kmnist",
        drawn.train.digest,
        drawn.test.digest,
    )


def test_missing_files_are_fetched_from_the_first_mirror_that_has_the_right_ones(
    tiny_files: Path, tmp_path: Path, http_root: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, drawn: Dataset
) -> None:
    root, url = http_root
    (root / "bad").mkdir()
    tiny_files.rename(root / "good")
    for path in (root / "good").iterdir():
        (root / "bad" / path.name).write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(official, "MIRRORS", ("http://127.0.0.1:9/", f"{url}bad/", f"{url}good/"))
    folder = tmp_path / "data"
    assert load_kmnist(folder, progress=False).test.digest == drawn.test.digest
    assert sorted(path.name for path in folder.iterdir()) == sorted(official.FILES)  # no temporary file is left


def test_when_no_mirror_answers_the_reasons_and_the_ways_out_are_told(
    tiny_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "MIRRORS", ("http://127.0.0.1:9/",))
    with pytest.raises(download.Unreachable, match=r"(?s)127\.0\.0\.1:9.*refused.*--data-dir.*--dataset sample"):
        load_kmnist(tmp_path / "data", progress=False)


def test_auto_takes_the_sample_only_where_the_real_files_cannot_be_had(tiny_files: Path, tmp_path: Path) -> None:
    assert load_dataset("auto", tiny_files).spec.name == "kmnist"
    assert load_dataset("auto", tmp_path / "none").spec.name == "sample"
    assert load_dataset("sample", tiny_files).spec.name == "sample"
    (tiny_files / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="t10k-labels"):
        load_dataset("auto", tiny_files)


def test_a_folder_that_cannot_be_written_is_an_error_in_auto_too(tiny_files: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be written.*--data-dir"):
        load_dataset("auto", Path("/dev/null/data"))


def test_a_labels_file_with_labels_out_of_range_is_named(tiny_files: Path) -> None:
    path = tiny_files / "t10k-labels-idx1-ubyte.gz"
    labels = read_idx(path)
    labels[7] = 10
    path.write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(DataError, match=r"served: the test labels go from 0 to 10: must lie in 0\.\.9"):
        load_kmnist(tiny_files)


def test_other_images_under_the_official_names_are_refused(tiny_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(official.OFFICIAL_DIGESTS, "train", "0" * 64)
    with pytest.raises(DataError, match=r"the train files in .* are not those of Kuzushiji-MNIST"):
        load_kmnist(tiny_files)


@pytest.mark.real_data
def test_the_real_data_is_what_it_is_known_to_be(kmnist: Dataset) -> None:
    assert np.bincount(kmnist.train.labels).tolist() == [6_000] * 10
    assert np.bincount(kmnist.test.labels).tolist() == [1_000] * 10
    assert kmnist.train.pixels.mean() / 255 == pytest.approx(0.1918, abs=5e-5)
    assert kmnist.train.pixels.std() / 255 == pytest.approx(0.3483, abs=5e-5)
