"""What has been sent and may be read again while the server is away.

MLflow's ``log_table`` lists the folder, reads the table, and writes it with more rows. If it could not read the rows
that have been sent, it would write a table without them. So the last version of a table stays here.
"""

import hashlib
import posixpath
import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mlflow.entities import FileInfo

from mlflow_journal.identities import ARTIFACTS

#: What log_table writes.
SUFFIXES = {".json", ".parquet"}


class KeptFiles:
    """What this process knows of artifact folders that it has listed, and the tables that it wrote there."""

    def __init__(self) -> None:
        self._begun: set[str] = set()
        self._listings: dict[tuple[str, str], dict[str, FileInfo]] = {}
        self._copies: dict[tuple[str, str], Path] = {}
        self._mutex = threading.Lock()

    def begin(self, root: str) -> None:
        """An artifact root is new: nothing lies there but what this process writes."""
        self._begun.add(root)

    def listed(self, root: str, folder: str, found: Iterable[FileInfo]) -> None:
        """What lies in a folder, as the server says or as it must be."""
        with self._mutex:
            self._listings[root, folder.strip("/")] = {info.path: info for info in found}

    def wrote(self, root: str, folder: str, source: Path, place: Path) -> None:
        """A file was journaled; if it may be a table, a copy is kept below ``place``."""
        folder = folder.strip("/")
        path = posixpath.join(folder, source.name)
        with self._mutex:
            listing = self._listings.get((root, folder))
            if listing is None or not source.is_file():
                return
            listing[path] = FileInfo(path, False, source.stat().st_size)
            if source.suffix in SUFFIXES:
                copy = place / hashlib.sha256(f"{root}/{path}".encode()).hexdigest()[:24]
                with suppress(OSError):  # a full disk: then it cannot be read, which is told
                    self._copies.pop((root, path), None)
                    place.mkdir(exist_ok=True)
                    shutil.copyfile(source, copy)
                    self._copies[root, path] = copy

    def listing(self, root: str, folder: str) -> list[FileInfo] | None:
        """What lies in a folder; ``None``: that is not known here."""
        with self._mutex:
            found = self._listings.get((root, folder.strip("/")))
            if found is not None:
                return list(found.values())
            return [] if root in self._begun or root.startswith(ARTIFACTS) else None

    def copy(self, root: str, path: str) -> Path | None:
        """The last version of a table; ``None``: it is not here."""
        return self._copies.get((root, path))
