"""Pictures from files, folders, archives of arrays and standard input, one batch at a time, in constant memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kmnist.errors import KmnistError, PictureError
from kmnist.inference.formats import SUFFIXES
from kmnist.inference.limits import MOST_BYTES
from kmnist.inference.pictures import Gray, read_picture, to_kmnist
from kmnist.prediction.arrays import read_arrays

ARRAYS = {".npy", ".npz", ".gz", ""}  # IDX files have no suffix of their own


@dataclass(frozen=True)
class Found:
    """One picture, or why there is none.

    Attributes:
        name: of the file, and the place in it if it holds many.
        image: (H, W), in the form of the training images; ``None`` if it cannot be read.
        error: why.
    """

    name: str
    image: Gray | None
    error: str = ""


def find_pictures(sources: list[str], stdin: BinaryIO, shape: tuple[int, int], raw: bool) -> Iterator[Found]:
    """Every picture of every source, in the order given; of a folder, by name.

    Args:
        sources: files (pictures, IDX, .npy, .npz), folders of them, or ``-`` for ``stdin``.
        stdin: where ``-`` is read from.
        shape: (H, W) of the training images.
        raw: take pictures as they are: of that shape, light on dark.
    """
    for source in sources:
        if source == "-":
            yield _picture("-", stdin.read(MOST_BYTES + 1), shape, raw)
        elif os.path.isdir(source):  # noqa: PTH112 - a Path would raise for a name that is too long
            for path in _walk(source):
                if path.suffix.lower() in SUFFIXES | {".npy", ".npz"}:
                    yield from _file(path, shape, raw)
        else:
            yield from _file(Path(source), shape, raw)


def count_pictures(sources: list[str]) -> int | None:
    """How many there are, for a progress bar; ``None`` if that would mean reading them."""
    total = 0
    for source in sources:
        path = Path(source)
        if os.path.isdir(source):  # noqa: PTH112 - as above
            total += sum(inner.suffix.lower() in SUFFIXES for inner in _walk(source))
        elif path.suffix.lower() in SUFFIXES:
            total += 1
        else:
            return None
    return total


def _walk(folder: str) -> Iterator[Path]:
    """Every file below a folder, by name. Only the names of one folder are in memory: a path is a big thing.

    A pipe or a device, on which one could wait for ever, is none.
    """
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if (path := Path(place, name)).is_file():
                yield path


def _file(path: Path, shape: tuple[int, int], raw: bool) -> Iterator[Found]:
    name = str(path).encode("utf-8", "backslashreplace").decode()  # a name need not be text
    try:
        if path.suffix.lower() in ARRAYS:
            for place, image in enumerate(read_arrays(path)):
                yield _found(f"{name}[{place}]", image, shape, raw)
        else:
            with path.open("rb") as file:
                yield _picture(name, file.read(MOST_BYTES + 1), shape, raw)
    except (OSError, ValueError, KmnistError) as error:  # ValueError: a name with a null byte
        yield Found(name, None, str(getattr(error, "strerror", None) or error))


def _picture(name: str, content: bytes, shape: tuple[int, int], raw: bool) -> Found:
    try:
        return _found(name, read_picture(content), shape, raw)
    except PictureError as error:
        return Found(name, None, str(error))


def _found(name: str, picture: Gray, shape: tuple[int, int], raw: bool) -> Found:
    try:
        if raw and picture.shape != shape:
            height, width = shape
            raise PictureError(
                f"{picture.shape[1]} x {picture.shape[0]} pixels: raw pictures must be {width} x {height}"
            )
        return Found(name, picture if raw else to_kmnist(picture, shape))
    except PictureError as error:
        return Found(name, None, str(error))
