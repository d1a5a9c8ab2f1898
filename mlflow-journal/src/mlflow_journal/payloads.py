"""The files that a journal's records refer to: each lies below one folder, and stays until the server has it."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from mlflow_journal.errors import Unsendable
from mlflow_journal.files import sync_folder

FICLONE = 0x40049409  # the ioctl by which btrfs and XFS share the blocks of two files


class Payloads:
    """Files and folders of one journal, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._next = 1 + max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)

    def add(self, source: Path, name: str) -> str:
        """Copy a file, or all that lies in a folder; forced to the disk. Gives the name that a record may hold.

        Raises:
            OSError: the source cannot be read, or the disk is full; nothing is left behind.
        """
        place = self._new_place()
        try:
            copy(source, place / name)
            sync_folder(place)
            sync_folder(self.folder)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return f"{place.name}/{name}"

    def find(self, name: object) -> Path:
        """The payload of a record.

        Raises:
            Unsendable: it is gone, or is not made of files and folders that lie here. A journal may come from
                anybody, and what it names is sent to a server and deleted.
        """
        path = self.folder / str(name)
        if self.folder.resolve() not in path.resolve().parents:
            raise Unsendable(f"its file {name!r} is not in {self.folder}: such a file is never sent")
        if not path.exists():
            raise Unsendable(f"its file {path} is gone")
        for part in [path, *path.rglob("*")]:
            if part.is_symlink() or not (part.is_file() or part.is_dir()):
                raise Unsendable(f"its file {part} is a link or a device: such a file is never sent")
        return path

    def delete(self, name: object) -> None:
        """Delete a payload that has arrived, with the folder that was made for it."""
        path = self.find(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        if path.parent != self.folder and not any(path.parent.iterdir()):
            path.parent.rmdir()

    @property
    def bytes_on_disk(self) -> int:
        """The size of all payloads."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if not path.is_dir())

    def _new_place(self) -> Path:
        while True:
            place = self.folder / f"{self._next:06d}"
            self._next += 1
            try:
                place.mkdir()
            except FileExistsError:  # another thread's
                continue
            return place


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what is neither file nor folder in it; forced to the disk.

    Raises:
        OSError: the source is neither, or cannot be read; the disk is full.
    """
    if source.is_dir():
        for folder, _, names in os.walk(source):
            place = target / os.path.relpath(folder, source)
            place.mkdir(parents=True, exist_ok=True)
            for name in names:
                _copy_file(Path(folder, name), place / name)
            sync_folder(place)
    else:
        _copy_file(source, target)


def tree_files(path: Path) -> Iterator[Path]:
    """A file itself, or all files below a folder, in order."""
    yield from [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(source))
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError:  # another file system, or one that cannot
            _copy_bytes(reader.fileno(), writer.fileno())
        os.fsync(writer.fileno())


def _copy_bytes(reader: int, writer: int) -> None:
    """Inside the kernel where it can; the file may grow meanwhile."""
    try:
        while os.copy_file_range(reader, writer, 2**30):
            pass
    except (AttributeError, OSError):  # not on this system, or not between these two
        offset = os.lseek(writer, 0, os.SEEK_CUR)
        os.lseek(reader, offset, os.SEEK_SET)
        while block := os.read(reader, 2**20):
            written = 0
            while written < len(block):
                written += os.write(writer, block[written:])
