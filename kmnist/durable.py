"""Files that a kill, a full disk or a power cut leaves whole; and who holds a lock.

A lock is the operating system's: it is free as soon as its holder is dead.
"""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout


def replace_file(path: Path, content: bytes, *, force: bool = True) -> None:
    """Give ``path`` a new content, under a temporary name first: it is the old one or the new one, never half of it.

    Args:
        path: of the file.
        content: of it.
        force: have it on the disk, its name too, before this returns.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if force:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    if force:
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cut_torn_line(path: Path) -> None:
    """Cut off a last line without its line feed: whoever was writing it was killed, and it never counted."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if end:
            file.seek(end - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
                os.fsync(file.fileno())


def is_held(lock: Path) -> bool:
    """Whether a living process holds a lock."""
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
