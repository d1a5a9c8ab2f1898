"""Pictures from files, folders, archives of arrays and standard input, one batch at a time, in constant memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from kmnist.data import read_idx
from kmnist.errors import DataError, PictureError
from kmnist.inference.pictures import read_picture, to_kmnist

Gray = npt.NDArray[np.uint8]
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
ARRAYS = {".npy", ".npz", ".gz", ""}  # IDX files have no suffix of their own


@dataclass(frozen=True)
class Found:
    """One picture, or why there is none.

    Attributes:
        name: of the file, and the place in it if it holds many.
        image: (28, 28), in the form of the training images; ``None`` if it cannot be read.
        error: why.
    """

    name: str
    image: Gray | None
    error: str = ""


def find_pictures(sources: list[str], stdin: BinaryIO, raw: bool) -> Iterator[Found]:
    """Every picture of every source, in the order given; of a folder, by name.

    Args:
        sources: files (PNG, JPEG, WebP, IDX, .npy, .npz), folders of them, or ``-`` for ``stdin``.
        stdin: where ``-`` is read from.
        raw: take pictures as they are: 28 x 28, light on dark.
    """
    for source in sources:
        if source == "-":
            yield _picture("-", stdin.read(), raw)
        elif Path(source).is_dir():
            for path in _walk(source):
                if path.suffix.lower() in PICTURES | {".npy", ".npz"}:
                    yield from _file(path, raw)
        else:
            yield from _file(Path(source), raw)


def count_pictures(sources: list[str]) -> int | None:
    """How many there are, for a progress bar; ``None`` if that would mean reading them."""
    total = 0
    for source in sources:
        path = Path(source)
        if path.is_dir():
            total += sum(inner.suffix.lower() in PICTURES for inner in _walk(source))
        elif path.suffix.lower() in PICTURES:
            total += 1
        else:
            return None
    return total


def _walk(folder: str) -> Iterator[Path]:
    """Every file below a folder, by name. Only the names of one folder are in memory: a path is a big thing."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(place, name)


def _file(path: Path, raw: bool) -> Iterator[Found]:
    try:
        if path.suffix.lower() in ARRAYS:
            for place, image in enumerate(_array(path)):
                yield _found(f"{path}[{place}]", image, raw)
        else:
            yield _picture(str(path), path.read_bytes(), raw)
    except (OSError, DataError, PictureError, ValueError, EOFError) as error:
        yield Found(str(path), None, _reason(error))


def _picture(name: str, content: bytes, raw: bool) -> Found:
    try:
        return _found(name, read_picture(content), raw)
    except PictureError as error:
        return Found(name, None, str(error))


def _found(name: str, picture: Gray, raw: bool) -> Found:
    try:
        if raw and picture.shape != (28, 28):
            raise PictureError(f"{picture.shape[1]} x {picture.shape[0]} pixels: raw pictures must be 28 x 28")
        return Found(name, picture if raw else to_kmnist(picture))
    except PictureError as error:
        return Found(name, None, str(error))


def _array(path: Path) -> Gray:
    """The pictures in a file of arrays, (N, H, W); memory-mapped where the format allows it."""
    if path.suffix == ".npy":
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            images = archive[archive.files[0]]
    else:
        images = read_idx(path)
    if images.ndim not in (2, 3) or images.dtype != np.uint8:
        raise PictureError(f"an array of {images.dtype} {images.shape}: must be uint8 (N, H, W)")
    pictures: Gray = images[None] if images.ndim == 2 else images
    return pictures


def _reason(error: Exception) -> str:
    return str(error.strerror or error) if isinstance(error, OSError) else str(error).splitlines()[0]
