"""Pictures from zip files, member by member. Nothing is extracted, and no member's path is used."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from kmnist.errors import PictureError
from kmnist.pictures.limits import MOST_BYTES, MOST_UNPACKED, SMALL, TOO_LARGE
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.walk import is_picture

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
            files = (member for member in archive.infolist() if not member.is_dir())
            members = [member for member in files if is_picture(member.filename, skipped)]
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


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | PictureError:
    if member.file_size > MOST_BYTES:
        return PictureError(TOO_LARGE)
    if member.flag_bits & ENCRYPTED:
        return PictureError("it needs a password; unpack the archive first")
    if member.compress_type not in READ:
        return PictureError("packed in another way than zip's own; unpack the archive first")
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return PictureError(f"damaged in the archive ({error})")
