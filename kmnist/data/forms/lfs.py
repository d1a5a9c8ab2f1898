"""What a repository holds instead of a large file: a few lines that name it."""

from pathlib import Path

from kmnist.errors import DataError

BEGIN = b"version https://git-lfs.github.com/spec/"


def is_pointer(content: bytes) -> bool:
    """Whether a file that begins so is a Git LFS pointer."""
    return content.startswith(BEGIN)


def pointer(path: Path) -> DataError:
    """What to say of one."""
    return DataError(f"{path} is a Git LFS pointer, not the file itself: `git lfs pull` in its repository fetches it")


def refuse_pointer(path: Path) -> None:
    """Before a file is read.

    Raises:
        DataError: it is a Git LFS pointer, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(BEGIN))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if is_pointer(begin):
        raise pointer(path)
