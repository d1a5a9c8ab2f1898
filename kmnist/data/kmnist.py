"""Kuzushiji-MNIST: 60,000 + 10,000 images of ten hiragana, equally many of each.

Source: "KMNIST Dataset" (created by CODH), adapted from "Kuzushiji Dataset" (created by NIJL and others),
doi:10.20676/00000341, licence CC BY-SA 4.0; classes in the order of https://github.com/rois-codh/kmnist.
"""

from pathlib import Path

from kmnist.data.download import Unreachable, fetch_file, find_file
from kmnist.data.forms.found import TEST, TRAIN
from kmnist.data.forms.idx import files_in
from kmnist.data.idx import read_idx
from kmnist.data.images import Dataset, Images, Pixels
from kmnist.data.one_array import read_array
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
#: The same as the publisher's .npz files, each of one array.
NPZ = {
    f"{prefix}-{kind}-ubyte.gz": f"kmnist-{split}-{name}.npz"
    for prefix, split in (("train", "train"), ("t10k", "test"))
    for kind, name in (("images-idx3", "imgs"), ("labels-idx1", "labels"))
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
        folder: holds the files under any of the names in use (``t10k-images.idx3-ubyte``, ``kmnist-train-imgs.npz``),
            or torchvision's ``KMNIST/raw``; gzipped or unpacked.
        fetch: download missing files into ``folder``.
        progress: show a progress bar while downloading.

    Raises:
        Unreachable: a file is missing and no mirror answered (or ``fetch`` is false).
        DataError: a file is damaged or is not the official one, or ``folder`` cannot be written.
    """
    arrays = _of_npz(folder) or _of_idx(folder, fetch, progress)
    try:
        data = Dataset.build(SPEC, HOMEPAGE, _images("train", arrays), _images("t10k", arrays), OFFICIAL_DIGESTS)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error
    for split, digest in data.spec.digests.items():
        if digest != OFFICIAL_DIGESTS[split]:
            raise DataError(
                f"the {split} files in {folder} are not those of Kuzushiji-MNIST (SHA-256 of their contents: "
                f"{digest[:16]}, must be {OFFICIAL_DIGESTS[split][:16]}). To train on them as they are, give "
                f"--dataset {folder}; to fetch Kuzushiji-MNIST, name another folder with --data-dir"
            )
    return data


def files_like_ours(folder: Path) -> list[str]:
    """The names of files that somebody may take for Kuzushiji-MNIST: IDX and .npz files, archives of that name."""
    try:
        idx = [path.name for files in files_in(folder).values() for path in files.values()]
        named = [path.name for path in folder.iterdir() if "mnist" in path.name.lower() and path.is_file()]
        return sorted({*idx, *named})
    except OSError:
        return []


def _of_npz(folder: Path) -> dict[str, Pixels] | None:
    """What the publisher offers beside IDX files, where all four are there."""
    found = [(name, find_file(folder, file)) for name, file in NPZ.items()]
    if any(path is None for _, path in found):
        return None
    return {name: read_array(path, FILES[name][0]) for name, path in found if path}


def _of_idx(folder: Path, fetch: bool, progress: bool) -> dict[str, Pixels]:
    paths = {name: find_file(folder, name, "KMNIST/raw") for name in FILES}
    if missing := [name for name, path in paths.items() if path is None]:
        paths |= {name: path for name, path in _other_names(folder).items() if name in missing}
    for name in [name for name, path in paths.items() if path is None]:
        if not fetch:
            raise Unreachable(f"{name} is not in {folder}; put the four files there or name their folder (--data-dir)")
        paths[name] = fetch_file(folder, name, MIRRORS, f"md5:{FILES[name][1]}", progress=progress)
    try:
        return {name: read_idx(path, FILES[name][0]) for name, path in paths.items() if path is not None}
    except DataError as error:
        raise DataError(
            f"{error}. Move it away to fetch Kuzushiji-MNIST's own; to train on another set, give --dataset {folder}"
        ) from error


def _other_names(folder: Path) -> dict[str, Path | None]:
    """The files in the folder that have the same part under another of the names in use."""
    try:
        sets = files_in(folder)
    except OSError:
        return {}
    files = next((found for name, found in sets.items() if name.lower() in ("", "kmnist")), {})
    splits = {"train": TRAIN, "t10k": TEST}
    parts = {name: (splits[name.split("-")[0]], name.split("-")[1]) for name in FILES}
    return {name: files.get(part) for name, part in parts.items()}


def _images(prefix: str, arrays: dict[str, Pixels]) -> Images:
    labels = arrays[f"{prefix}-labels-idx1-ubyte.gz"].astype("int64")
    return Images(arrays[f"{prefix}-images-idx3-ubyte.gz"], labels)
