"""The files that a journal's records refer to: each is below one folder, and stays until the server has it."""

import os
import shutil
from pathlib import Path

from kmnist.tracking.records import Record, Unsendable


class Payloads:
    """Files and folders of a journal, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def new(self, name: str) -> Path:
        """A path that no earlier payload has; ``name`` is its last part."""
        number = sum(1 for _ in self.folder.iterdir())
        folder = self.folder / f"{number:06d}"
        folder.mkdir()
        return folder / name

    def keep(self, payload: Path) -> str:
        """Force a payload, a file or a folder, to the disk; gives the name of it that a record may hold."""
        for path in [payload, *payload.rglob("*")]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return str(payload.relative_to(self.folder))

    def find(self, record: Record) -> Path:
        """The payload of a record.

        Raises:
            Unsendable: it is gone, or is not made of files and folders that lie here. A journal may come from
                anybody, and what it names is sent to a server and deleted.
        """
        path = self.folder / str(record["payload"])
        root = self.folder.resolve()
        if root not in path.resolve().parents:
            raise Unsendable(f"its file {record['payload']!r} is not in {self.folder}: such a file is never sent")
        if not path.exists():
            raise Unsendable(f"its file {path} is gone")
        for part in [path, *path.rglob("*")]:
            if part.is_symlink() or not (part.is_file() or part.is_dir()):
                raise Unsendable(f"its file {part} is a link or a device: such a file is never sent")
        return path

    def delete(self, record: Record) -> None:
        """Delete the payload of a record that has arrived."""
        path = self.find(record)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    def delete_all(self) -> None:
        """Delete what is left: all has arrived."""
        shutil.rmtree(self.folder, ignore_errors=True)
