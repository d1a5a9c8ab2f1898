"""Pictures from zip files, member by member. Nothing is extracted, and no member's path is used."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from kmnist.errors import PictureError
from kmnist.pictures.formats import SUFFIXES
from kmnist.pictures.limits import MOST_BYTES, MOST_UNPACKED, SMALL
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.walk import MOST_SUFFIX, OF_MACOS, is_of_macos, suffix

ENCRYPTED = 0x1  # of a member's flags: 4.4.4 of APPNOTE.TXT
READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack without limit


def read_zip(path: Path, skipped: Skipped) -> Iterator[tuple[str, bytes | PictureError]]:
    """Each picture's name in it, and the content of its file, or why that is not read.

    Raises:
        PictureError: it is damaged, or its members together unpack to far more than it is.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if _is_picture(member, skipped)]
            # Members can share their bytes, so that each alone promises little.
            promised, size = sum(member.file_size for member in members), path.stat().st_size
            if promised > max(SMALL, MOST_UNPACKED * size):
                raise PictureError(
                    f"{size:,} bytes that promise {promised:,}: more than {MOST_UNPACKED} times as much is not unpacked"
                )
            for member in members:
                yield member.filename, _content(archive, member)
    except (PictureError, OSError):
        raise
    except Exception as error:  # zipfile raises whatever the bytes provoke: BadZipFile, struct.error, ValueError
        raise PictureError(f"damaged zip file ({str(error) or type(error).__name__})") from None


def _is_picture(member: zipfile.ZipInfo, skipped: Skipped) -> bool:
    name = member.filename
    if member.is_dir():
        return False
    if is_of_macos(name):
        skipped.add(name, OF_MACOS)
        return False
    if suffix(name) not in SUFFIXES:
        skipped.add(name, suffix(name)[:MOST_SUFFIX] or "without an ending")
        return False
    return True


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | PictureError:
    if member.file_size > MOST_BYTES:
        return PictureError(f"a file of more than {MOST_BYTES:,} bytes; shrink the picture")
    if member.flag_bits & ENCRYPTED:
        return PictureError("it needs a password; unpack the archive first")
    if member.compress_type not in READ:
        return PictureError("packed in another way than zip's own; unpack the archive first")
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return PictureError(f"damaged in the archive ({error})")
