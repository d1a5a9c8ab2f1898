"""Kuzushiji-MNIST: 60,000 + 10,000 images of ten hiragana, equally many of each.

Source: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others),
doi:10.20676/00000341, licence CC BY-SA 4.0; classes in the order of https://github.com/rois-codh/kmnist.
"""

from pathlib import Path

from kmnist.data.download import Unreachable, fetch_file, find_file
from kmnist.data.idx import read_idx
from kmnist.data.images import Dataset, Images, Pixels
from kmnist.data.spec import DataSpec, labels
from kmnist.errors import DataError

CLASSES = labels(("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), "おきすつなはまやれを")
SPEC = DataSpec("kmnist", "Kuzushiji-MNIST", CLASSES)
#: File name -> (shape of the array, official md5 of the .gz file, as torchvision's ``KMNIST.resources`` has them).
FILES: dict[str, tuple[tuple[int, ...], str]] = {
    "train-images-idx3-ubyte.gz": ((60_000, 28, 28), "bdb82020997e1d708af4cf47b453dcf7"),
    "train-labels-idx1-ubyte.gz": ((60_000,), "e144d726b3acfaa3e44228e80efcd344"),
    "t10k-images-idx3-ubyte.gz": ((10_000, 28, 28), "5c965bf0a639b31b8f53240b1b52f4d7"),
    "t10k-labels-idx1-ubyte.gz": ((10_000,), "7320c461ea6c1c855c0b718fb2a4b134"),
}
HOMEPAGE = "https://codh.rois.ac.jp/kmnist/"
#: The publisher's own host, and the bucket that the publisher's README names.
MIRRORS = (
    "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    "https://storage.googleapis.com/kuzushiji-mnist/",
)
#: SHA-256 of :attr:`Images.digest` for the two official splits, so that unpacked files are recognised too.
OFFICIAL_DIGESTS = {
    "train": "4a7beb46912df872da3135a2c14ca7a98119ac8e588b4a785ae1656034200fb6",
    "test": "b261a157ded5e2973938c34468741461b8ce1e598bcbab78df91503860f977f1",
}


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
    paths = {name: find_file(folder, name, "KMNIST/raw") for name in FILES}
    for name in [name for name, path in paths.items() if path is None]:
        if not fetch:
            raise Unreachable(f"{name} is not in {folder}; put the four files there or name their folder (--data-dir)")
        paths[name] = fetch_file(folder, name, MIRRORS, f"md5:{FILES[name][1]}", progress=progress)
    arrays = {name: read_idx(path, FILES[name][0]) for name, path in paths.items() if path is not None}
    try:
        data = Dataset.build(SPEC, HOMEPAGE, _images("train", arrays), _images("t10k", arrays), OFFICIAL_DIGESTS)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    for split, digest in data.spec.digests.items():
        if digest != OFFICIAL_DIGESTS[split]:
            raise DataError(
                f"the {split} files in {folder} are not those of Kuzushiji-MNIST (SHA-256 of their contents: "
                f"{digest[:16]}, must be {OFFICIAL_DIGESTS[split][:16]}); delete them to fetch them again"
            )
    return data


def _images(prefix: str, arrays: dict[str, Pixels]) -> Images:
    labels = arrays[f"{prefix}-labels-idx1-ubyte.gz"].astype("int64")
    return Images(arrays[f"{prefix}-images-idx3-ubyte.gz"], labels)
