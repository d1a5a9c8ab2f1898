"""Kuzushiji-MNIST as arrays: find or fetch the four official files, check them, read them, split them.

The files are in the IDX format of MNIST: big-endian, magic ``0 0 8 ndim`` (8 = unsigned byte), one uint32 a dimension,
then the values. Source: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and
others), doi:10.20676/00000341, licence CC BY-SA 4.0.
"""

import gzip
import hashlib
import logging
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from kmnist.errors import DataError, SettingError, root_cause
from kmnist.kana import CLASSES

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

#: File name -> (shape of the array, official md5 of the .gz file, as torchvision's ``KMNIST.resources`` has them).
FILES: dict[str, tuple[tuple[int, ...], str]] = {
    "train-images-idx3-ubyte.gz": ((60_000, 28, 28), "bdb82020997e1d708af4cf47b453dcf7"),
    "train-labels-idx1-ubyte.gz": ((60_000,), "e144d726b3acfaa3e44228e80efcd344"),
    "t10k-images-idx3-ubyte.gz": ((10_000, 28, 28), "5c965bf0a639b31b8f53240b1b52f4d7"),
    "t10k-labels-idx1-ubyte.gz": ((10_000,), "7320c461ea6c1c855c0b718fb2a4b134"),
}
MOST_UNPACKED = 1_032  # times their packed size: more cannot be in deflated data (https://zlib.net/zlib_tech.html)
HOMEPAGE = "https://codh.rois.ac.jp/kmnist/"
#: The publisher's own host, and the bucket that the publisher's README names.
MIRRORS = (
    "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    "https://storage.googleapis.com/kuzushiji-mnist/",
)
#: SHA-256 of :meth:`Images.digest` for the two official splits, so that unpacked files are recognised too.
OFFICIAL_DIGESTS = {
    "train": "4a7beb46912df872da3135a2c14ca7a98119ac8e588b4a785ae1656034200fb6",
    "test": "b261a157ded5e2973938c34468741461b8ce1e598bcbab78df91503860f977f1",
}


class Unreachable(DataError):
    """The files are not at hand and no mirror answered."""


@dataclass(frozen=True, eq=False)
class Images:
    """Grey images with their classes.

    Attributes:
        pixels: uint8, shape (N, 28, 28), 0 = paper, 255 = ink.
        labels: int64, shape (N,), 0..9 in the order of :data:`kmnist.kana.KANA`.
    """

    pixels: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        if self.pixels.shape != (len(self.labels), 28, 28) or self.pixels.dtype != np.uint8:
            raise DataError(
                f"{self.pixels.dtype} pixels of shape {self.pixels.shape} with {len(self.labels)} labels: "
                "must be uint8 of shape (N, 28, 28) with N labels"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < CLASSES:
            raise DataError(
                f"labels from {self.labels.min()} to {self.labels.max()}: must lie in 0..{CLASSES - 1}; "
                "the labels file is damaged or belongs to another data set"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: npt.NDArray[np.int64]) -> "Images":
        return Images(self.pixels[index], self.labels[index])

    def digest(self) -> str:
        """SHA-256, as 64 hex digits, over all pixels and then all labels (as bytes)."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        digest.update(self.labels.astype(np.uint8).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A train and a test split under a name (``kmnist`` or ``sample``) with where they came from."""

    name: str
    source: str
    train: Images
    test: Images


def load_kmnist(folder: Path, *, fetch: bool = True, progress: bool = True) -> Dataset:
    """Kuzushiji-MNIST from ``folder``.

    Args:
        folder: holds the files, or torchvision's ``KMNIST/raw``; gzipped or unpacked.
        fetch: download missing files into ``folder``.
        progress: show a progress bar while downloading.

    Raises:
        Unreachable: a file is missing and no mirror answered (or ``fetch`` is false).
        DataError: a file is damaged or is not the official one, or ``folder`` cannot be written.
    """
    paths = {name: _find(folder, name) for name in FILES}
    for name in [name for name, path in paths.items() if path is None]:
        if not fetch:
            raise Unreachable(f"{name} is not in {folder}; put the four files there or name their folder (--data-dir)")
        paths[name] = _download(folder, name, progress)
    arrays = {name: read_idx(path, FILES[name][0]) for name, path in paths.items() if path is not None}
    splits = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        labels = arrays[f"{prefix}-labels-idx1-ubyte.gz"].astype(np.int64)
        try:
            images = Images(arrays[f"{prefix}-images-idx3-ubyte.gz"], labels)
        except DataError as error:
            raise DataError(f"the {part} files in {folder}: {error}") from error
        if images.digest() != OFFICIAL_DIGESTS[part]:
            raise DataError(
                f"the {part} files in {folder} are not those of Kuzushiji-MNIST (SHA-256 of their contents: "
                f"{images.digest()[:16]}, must be {OFFICIAL_DIGESTS[part][:16]}); delete them to fetch them again"
            )
        splits[part] = images
    return Dataset("kmnist", HOMEPAGE, splits["train"], splits["test"])


@contextmanager
def open_idx(path: Path) -> Iterator[tuple[tuple[int, ...], BinaryIO]]:
    """An IDX file of unsigned bytes, gzipped or not: the shape that its header states, and its values to be read.

    Raises:
        DataError: the file cannot be read, has another magic number, or proves to be damaged while it is read.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            with gzip.open(file) if zipped else nullcontext(file) as values:
                magic = values.read(4)
                if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
                    raise DataError(
                        f"{path} begins with {magic.hex(' ') or 'nothing'}: an IDX file of unsigned bytes begins with "
                        "00 00 08 and its number of dimensions; delete it to fetch it again"
                    )
                if len(sizes := values.read(4 * magic[3])) < 4 * magic[3]:
                    raise DataError(f"{path} is cut short in its header; delete it to fetch it again")
                yield tuple(int(size) for size in np.frombuffer(sizes, ">u4")), cast(BinaryIO, values)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it to fetch it again") from error


def read_idx(path: Path, shape: tuple[int, ...] | None = None) -> Pixels:
    """Read an IDX file of unsigned bytes, gzipped or not, as an array of the shape that its header states.

    Args:
        path: the file.
        shape: what the shape must be; ``None`` accepts any.

    Raises:
        DataError: the file cannot be read, has another magic number or shape, or is cut short or too long.
    """
    with open_idx(path) as (found, values):
        if shape is not None and found != shape:
            raise DataError(f"{path} has shape {found}, must be {shape}; delete it to fetch it again")
        promised = math.prod(found)
        # No more than deflate can have packed, however much is promised; and one more, to see whether there is more.
        content = values.read(min(promised, MOST_UNPACKED * path.stat().st_size) + 1)
    if len(content) != promised:
        raise DataError(
            f"{path} holds {'more' if len(content) > promised else f'{len(content):,} values'}, its header {found} "
            f"promises {promised:,}: it is cut short or damaged; delete it to fetch it again"
        )
    return np.frombuffer(content, np.uint8).reshape(found).copy()


def idx_bytes(array: Pixels) -> bytes:
    """The IDX file (not gzipped) that :func:`read_idx` reads back to ``array``; 1 to 4 dimensions."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def split(images: Images, valid_fraction: float, seed: int) -> tuple[Images, Images]:
    """Split into train and valid with the same share of each class in both; the same seed gives the same split.

    Raises:
        SettingError: either part would lack a class.
    """
    train, valid = split_indices(images, valid_fraction, seed)
    return images[train], images[valid]


def split_indices(
    images: Images, valid_fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the images of :func:`split`'s two parts are among ``images``."""
    from sklearn.model_selection import train_test_split  # late: it takes a second to import

    try:
        train, valid = train_test_split(
            np.arange(len(images)), test_size=valid_fraction, random_state=seed, stratify=images.labels
        )
    except ValueError as error:
        raise SettingError(
            f"valid_fraction={valid_fraction}: leaves too few of {len(images):,} images on one side ({error})"
        ) from error
    return np.sort(train), np.sort(valid)


def _find(folder: Path, name: str) -> Path | None:
    """The file in ``folder`` or in torchvision's ``KMNIST/raw`` below it, gzipped or unpacked."""
    places = (folder, folder / "KMNIST" / "raw")
    candidates = (place / form for place in places for form in (name, name.removesuffix(".gz")))
    return next((path for path in candidates if path.is_file()), None)


def _download(folder: Path, name: str, progress: bool) -> Path:
    """Fetch one file: checked against its md5 before it gets its name, twice from each mirror."""
    import pooch
    from requests import RequestException

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"data folder {folder} cannot be written ({error}); name another with --data-dir") from error
    pooch.get_logger().setLevel(logging.ERROR)
    reasons = []
    for mirror in MIRRORS:
        library = pooch.create(folder, mirror, registry={name: f"md5:{FILES[name][1]}"}, retry_if_failed=1)
        try:
            return Path(library.fetch(name, downloader=pooch.HTTPDownloader(progressbar=progress, timeout=(5, 30))))
        except (RequestException, ValueError) as error:  # unreachable, or the wrong checksum both times
            reasons.append(f"{mirror}: {root_cause(error)}")
        except OSError as error:
            raise DataError(
                f"data folder {folder} cannot be written ({error}); name another with --data-dir"
            ) from error
    raise Unreachable(
        f"{name} is not in {folder} and could not be fetched:\n  " + "\n  ".join(reasons) + "\n"
        "Put the four files there, name their folder (--data-dir), or take the drawn stand-in (--dataset sample)."
    )
