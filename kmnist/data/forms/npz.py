"""Arrays of numpy: the publisher's KMNIST (``arr_0``), Keras (``x_train``), MedMNIST (``train_images``)."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.forms.found import TRAIN, WHOLE, ArrayPart, Found, Part, of_split
from kmnist.data.forms.labels import label_column
from kmnist.data.forms.lfs import refuse_pointer
from kmnist.errors import DataError, in_one_line

FORM = "npz"
EXPECTS = "an .npz file with the arrays x_train, y_train, x_test, y_test (or train_images, train_labels, ..., or x, y)"
PIXELS, LABELS = ("x", "images", "imgs", "image", "pixels", "data"), ("y", "labels", "label", "target", "targets")
FILE = re.compile(
    r"(?P<set>.*?)[-_]?(?P<split>train|test|val|valid)[-_](?P<kind>imgs|images|labels)\.npz", re.IGNORECASE
)
MOST_UNPACKED = 1_032  # times its packed size: more cannot be in deflated data
MOST_BYTES = 64 * 1024**3


def find(path: Path) -> Found | None:
    """The arrays of a file; or of a folder, of which each file holds one."""
    if path.is_file() and path.suffix.lower() == ".npz":
        if FILE.fullmatch(path.name):
            return _of_folder(path.parent, path)
        return _of_file(path)
    if path.is_dir() and (files := sorted(path.glob("*.npz"))):
        if any(FILE.fullmatch(file.name) for file in files):
            return _of_folder(path, path)
        if len(files) == 1:
            return _of_file(files[0])
        raise DataError(
            f"{path} holds several .npz files, {', '.join(file.name for file in files[:8])}: name one of them"
        )
    return None


def _of_folder(folder: Path, asked: Path) -> Found:
    found: dict[str, dict[str, Path]] = {}
    sets = set()
    for file in sorted(folder.glob("*.npz")):
        if match := FILE.fullmatch(file.name):
            if asked != folder and match["set"] != FILE.fullmatch(asked.name)["set"]:  # type: ignore[index]
                continue
            sets.add(match["set"])
            kind = "labels" if match["kind"].lower() == "labels" else "images"
            found.setdefault(of_split(match["split"]) or WHOLE, {})[kind] = file
    if len(sets) > 1:
        raise DataError(f"{folder} holds several data sets, {', '.join(sorted(sets))}: name a file of one of them")
    parts: dict[str, Part] = {}
    for split, files in found.items():
        if len(files) < 2:
            [(kind, file)] = files.items()
            raise DataError(
                f"{folder}: beside {file.name} there is no file of its {'images' if kind == 'labels' else 'labels'}"
            )
        arrays = {kind: _only(file) for kind, file in files.items()}
        parts[split] = _part(arrays["images"], arrays["labels"], str(files["images"]))
    return Found(FORM, parts, folder, name=sets.pop() or folder.name)


def _of_file(path: Path) -> Found:
    with _opened(path) as arrays:
        names: list[str] = list(arrays.files)
        pairs = _pairs(names)
        if not pairs:
            told = ", ".join(f"{name} {_shape(arrays, name, path)}" for name in names[:12])
            raise DataError(
                f"{path} holds {told or 'no arrays'}: must be pairs of pixels and labels, as in x_train and y_train, "
                "train_images and train_labels, or x and y"
            )
        taken = {name for pair in pairs.values() for name in pair}
        others = [name for name in names if name not in taken]
        parts: dict[str, Part] = {
            split: _part(_array(arrays, pixels, path), _array(arrays, labels, path), f"{path.name}, {pixels}")
            for split, (pixels, labels) in pairs.items()
        }
    notes = ["read " + ", ".join(f"{one} and {two}" for one, two in pairs.values()) + f" of {path.name}"]
    if others:
        notes.append(f"left out the arrays {', '.join(others)}")
    return Found(FORM, parts, path.parent, notes=tuple(notes), name=path.stem)


def is_of_pixels(name: str) -> bool:
    """Whether an array of this name is one of pictures: ``x_test``, ``test_images``."""
    return any(kind in PIXELS for kind in _words(name)[1])


def _pairs(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """By split, the names of its pixels and of its labels."""
    pixels: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name in names:
        splits, kinds = _words(name)
        if len(splits) > 1 or len(kinds) != 1:
            continue
        split = splits.pop() if splits else WHOLE
        if kinds[0] in PIXELS:
            pixels.setdefault(split, name)
        elif kinds[0] in LABELS:
            labels.setdefault(split, name)
    pairs = {split: (name, labels[split]) for split, name in pixels.items() if split in labels}
    if WHOLE in pairs and len(pairs) > 1:
        del pairs[WHOLE]
    return pairs if TRAIN in pairs or WHOLE in pairs else {}


def _words(name: str) -> tuple[set[str], list[str]]:
    """The splits that a name names, and its other words."""
    words = [word for word in re.split(r"[_\-. ]+", name.lower()) if word]
    return {split for word in words if (split := of_split(word))}, [word for word in words if of_split(word) is None]


def _part(pixels: npt.NDArray[Any], labels: npt.NDArray[Any], source: str) -> Part:
    column = label_column(labels, source)
    if len(pixels) != len(column):
        raise DataError(f"{source}: {len(pixels):,} pictures and {len(column):,} labels; there must be as many of both")
    return ArrayPart(pixels, column, source)


def _only(path: Path) -> npt.NDArray[Any]:
    with _opened(path) as arrays:
        if len(arrays.files) != 1:
            raise DataError(f"{path} holds the arrays {', '.join(arrays.files)}: must hold one")
        return _array(arrays, arrays.files[0], path)


def _opened(path: Path) -> Any:
    refuse_pointer(path)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size > min(MOST_BYTES, max(10_000_000, MOST_UNPACKED * member.compress_size)):
                    raise DataError(
                        f"{path}: {member.filename} promises {member.file_size:,} bytes in {member.compress_size:,}"
                    )
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as .npz ({in_one_line(error)})") from error


def _array(arrays: Any, name: str, path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(arrays[name])
    except Exception as error:  # numpy, zipfile and zlib raise whatever the bytes provoke
        raise DataError(f"{path}: the array {name} cannot be read ({in_one_line(error)[:200]})") from error


def _shape(arrays: Any, name: str, path: Path) -> str:
    return str(_array(arrays, name, path).shape)
