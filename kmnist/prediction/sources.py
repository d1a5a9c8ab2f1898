"""Pictures from files, folders, archives, tables and standard input, one after the other, in constant memory.

What is decoded and how is not decided here: a file of one picture is not even opened.
"""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from kmnist.data.forms.pixel_csv import read_pixels
from kmnist.errors import KmnistError, PictureError, SettingError
from kmnist.extras import require
from kmnist.pictures.formats import SUFFIXES
from kmnist.pictures.limits import MOST_BYTES
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.tars import is_tar, read_tar
from kmnist.pictures.walk import nearest, suffix, walk
from kmnist.pictures.zips import read_zip
from kmnist.prediction.arrays import read_arrays
from kmnist.prediction.picture import Picture

ARRAYS = {".npy", ".npz", ".gz", ""}  # IDX files have no suffix of their own, and some pictures have none, either
IDX_BEGINNINGS = (b"\0\0", b"\x1f\x8b")  # as it is, and gzipped
IN_FOLDERS = SUFFIXES | {".npy", ".npz", ".parquet", ".zip"}
#: Archives that are not read, by their endings.
NOT_READ = (".7z", ".bz2", ".rar", ".tbz2", ".txz", ".xz", ".zst")


def find_pictures(
    sources: list[str], stdin: BinaryIO, skipped: Skipped, is_ours: Callable[[str], bool] = lambda path: False
) -> Iterator[Picture]:
    """Every picture of every source, in the order given; of a folder, by name.

    Args:
        sources: files (pictures, IDX, .npy, .npz, .csv of pixels, .tar, .tar.gz, .zip, .parquet), folders of them, or
            ``-`` for ``stdin``.
        stdin: where ``-`` is read from.
        skipped: is told what is left out of folders and archives.
        is_ours: whether a file of a folder is one that the command itself writes.
    """
    for source in sources:
        if source == "-":
            yield Picture("-", stdin.read(MOST_BYTES + 1))
        elif os.path.isdir(source):  # noqa: PTH112 - a Path would raise for a name that is too long
            folder = str(Path(source))
            for path in walk(
                "" if folder == os.curdir else folder, lambda name: suffix(name) in IN_FOLDERS or is_tar(name), skipped
            ):
                if isinstance(path, OSError):
                    yield Picture(shown(str(path.filename)), path)
                elif not is_ours(path):
                    yield from _file(path, skipped)
        else:
            yield from _file(str(Path(source)), skipped)


def check_there(sources: list[str]) -> None:
    """See that there is something to be read; one of several that is missing is an error in its own row.

    Raises:
        PictureError: none of them is there.
    """
    missing = [source for source in sources if source != "-" and not _is_there(source)]
    if len(missing) == len(sources):
        raise PictureError(f"{shown(missing[0])}: {no_such_file(missing[0])}")


def no_such_file(path: str) -> str:
    """What to say of a path at which nothing is: the nearest name that there is."""
    near = nearest(Path(path))
    return "No such file or directory" + (f"; did you mean {shown(str(near))}?" if near else "")


def _is_there(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a null byte in it
        return False


def shard_of(pictures: Iterator[Picture], which: str | None) -> Iterator[Picture]:
    """``2/8``: of every eight pictures, in their order, the second; all eight together are all pictures, once.

    Raises:
        SettingError: it is nothing of this form.
    """
    if which is None:
        return pictures
    first, _, of = which.partition("/")
    if not (first.isascii() and first.isdecimal() and of.isascii() and of.isdecimal() and len(which) < 20):
        raise SettingError(f"--shard {which[:80]}: must be like 2/8, the second of eight")
    if not 1 <= int(first) <= int(of):
        raise SettingError(f"--shard {which}: must be from 1/{of} to {of}/{of}")
    return islice(pictures, int(first) - 1, None, int(of))


def shown(name: str) -> str:
    """As text, which a file's name need not be."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def _file(path: str, skipped: Skipped) -> Iterator[Picture]:
    name = shown(path)
    kind = suffix(os.path.basename(path))  # noqa: PTH119 - as above
    try:
        if not os.path.lexists(path):
            raise PictureError(no_such_file(path))
        if is_tar(path):
            for member, content in read_tar(Path(path), skipped):
                yield Picture(f"{name}[{shown(member)}]", content)
        elif kind == ".parquet":
            require("parquet", name)
            from kmnist.pictures.tables import read_table  # pyarrow takes its time

            for place, value in enumerate(read_table(Path(path))):
                yield Picture(f"{name}[{place}]", value)
        elif kind == ".zip":
            for member, content in read_zip(Path(path), skipped):
                yield Picture(f"{name}[{shown(member)}]", content)
        elif kind in NOT_READ:
            raise PictureError(
                f"a {kind} archive: unpack it first, or pack it as .tar, .tar.gz or .zip, which are read"
            )
        elif kind == ".csv":
            for place, image in enumerate(read_pixels(Path(path))):
                yield Picture(f"{name}[{place}]", image)
        elif kind in ARRAYS and (kind or _is_idx(path)):
            for place, image in enumerate(read_arrays(Path(path), skipped)):
                yield Picture(f"{name}[{place}]", image)
        else:
            yield Picture(name, path)
    except (OSError, ValueError, KmnistError) as error:  # ValueError: a name with a null byte
        yield Picture(name, error)


def _is_idx(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(2) in IDX_BEGINNINGS
