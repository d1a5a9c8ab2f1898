"""Pictures from tar files: members in order, read in the stream. Nothing is extracted, and no member's path is used."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from kmnist.errors import PictureError
from kmnist.pictures.limits import MOST_BYTES, MOST_UNPACKED, SMALL, TOO_LARGE
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.walk import is_picture


def is_tar(name: str) -> bool:
    """By its ending."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz"))


def read_tar(path: Path, skipped: Skipped) -> Iterator[tuple[str, bytes | PictureError]]:
    """Each picture's name in it, and the content of its file, or why that is not read.

    Raises:
        PictureError: it is damaged, cut short, packed in another way than gzip, or unpacks to far more than it is.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2)[:2] == b"\x1f\x8b"
            most = max(SMALL, MOST_UNPACKED * os.fstat(file.fileno()).st_size)
            values = cast(BinaryIO, _Bounded(gzip.GzipFile(fileobj=file), most)) if zipped else file
            with tarfile.TarFile(fileobj=values, errors="surrogateescape") as archive:
                yield from _members(archive, values, skipped)
    except (PictureError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise PictureError(f"damaged tar file ({error})") from None
    except OSError:
        raise
    except Exception as error:  # tarfile raises whatever the bytes provoke: UnicodeError, ValueError, OverflowError
        raise PictureError(f"damaged tar file ({str(error) or type(error).__name__})") from None


def _members(
    archive: tarfile.TarFile, values: BinaryIO, skipped: Skipped
) -> Iterator[tuple[str, bytes | PictureError]]:
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined] # it would keep all
        if not member.isreg() or member.issparse():
            if not member.isdir():
                skipped.add(member.name, "members that are no plain files")
        elif not is_picture(member.name, skipped):
            pass
        elif member.size > MOST_BYTES:
            yield member.name, PictureError(TOO_LARGE)
        else:
            yield member.name, cast(BinaryIO, archive.extractfile(member)).read()
    # Python takes a header that it cannot read for the end.
    values.seek(archive.offset)
    if (end := values.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        raise PictureError("a header cannot be read" if end else "it has no end: it is cut short")


class _Bounded:
    """What is unpacked of a file, up to a limit."""

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self._file, self._most = file, most

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes.

        Raises:
            PictureError: it is more than may be.
        """
        self._check(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, place: int) -> int:
        """Go on at another place; a file of which the rest is missing raises."""
        self._check(place)
        return self._file.seek(place)

    def tell(self) -> int:
        """The place, in what is unpacked."""
        return self._file.tell()

    def _check(self, place: int) -> None:
        if place > self._most:
            raise PictureError(f"more than {MOST_UNPACKED} times as much as is packed is not unpacked")
