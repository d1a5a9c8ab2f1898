"""The journal: everything a run wants to tell MLflow is on disk before it is sent, and is struck off when it arrived.

A folder holds ``journal.jsonl`` (one JSON record a line, append only), ``sent`` (how many bytes of it have arrived)
and ``payloads/`` (files that records refer to). A process killed at any byte leaves a readable journal: a record counts
from its line feed on, and its payload is complete before the record is written. Both are forced to the disk, so that
a machine that loses its power loses no more than a killed process does.
"""

import errno
import json
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

Record = dict[str, Any]
JOURNAL = "journal.jsonl"
SENT = "sent"
REJECTED = "rejected.jsonl"


class Journal:
    """An append-only queue of records on disk, for one writing and one reading thread.

    Args:
        folder: created if need be; what an earlier process left there unsent is read first.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.payloads = folder / "payloads"
        self.payloads.mkdir(parents=True, exist_ok=True)
        self._path = folder / JOURNAL
        self._sent_path = folder / SENT
        self._path.touch()
        self._cut_torn_record()
        self._sent = _sent_bytes(folder)
        self._size = self._path.stat().st_size
        self._writer = self._path.open("ab", buffering=0)
        self._reader = self._path.open("rb")
        self._grown = threading.Condition()
        self._released = False

    def append(self, record: Record) -> None:
        """Add a record. It survives this process, and this machine's power, from here on.

        Raises:
            OSError: the disk is full; the journal is as it was.
        """
        line = json.dumps(record).encode() + b"\n"
        with self._grown:
            try:
                if self._writer.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fdatasync(self._writer.fileno())
            except OSError:
                self._writer.truncate(self._size)  # half a record would spoil the next one
                raise
            self._size += len(line)
            self._grown.notify_all()

    def new_payload(self, name: str) -> Path:
        """A path in the payload folder that no earlier payload has; ``name`` is its last part."""
        with self._grown:
            number = sum(1 for _ in self.payloads.iterdir())
            folder = self.payloads / f"{number:06d}"
            folder.mkdir()
        return folder / name

    def keep_payload(self, payload: Path) -> str:
        """Force a payload, a file or a folder, to the disk; gives the name of it that a record may hold."""
        for path in [payload, *payload.rglob("*")]:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        return str(payload.relative_to(self.payloads))

    def peek(self, timeout: float, most: int = 1) -> list[tuple[Record, int]]:
        """The oldest unsent records, each with the position after it; empty if there is none within ``timeout`` s."""
        with self._grown:
            self._grown.wait_for(lambda: self._sent < self._size or self._released, timeout)
            end = self._size
        self._reader.seek(self._sent)
        found: list[tuple[Record, int]] = []
        while len(found) < most and self._reader.tell() < end:
            line = self._reader.readline()
            found.append((_record(line), self._reader.tell()))
        return found

    def release(self) -> None:
        """Let no reader wait for records any longer."""
        with self._grown:
            self._released = True
            self._grown.notify_all()

    def strike(self, position: int) -> None:
        """Everything before ``position`` has arrived."""
        temporary = self._sent_path.with_suffix(".tmp")
        with suppress(OSError):  # the disk is full: what is sent again from the position before does no harm
            temporary.write_text(str(position))
            temporary.replace(self._sent_path)
        with self._grown:
            self._sent = position
            self._grown.notify_all()

    def reject(self, record: Record, reason: str) -> None:
        """Keep, apart, a record that the server will never take."""
        with (self.folder / REJECTED).open("a") as file:
            file.write(json.dumps({"reason": reason, **record}) + "\n")

    @property
    def pending_bytes(self) -> int:
        """How much of the journal has not arrived yet."""
        with self._grown:
            return self._size - self._sent

    def wait_for_progress(self, timeout: float) -> bool:
        """Wait until a record is struck off (true) or ``timeout`` seconds pass (false)."""
        with self._grown:
            before = self._sent
            return self._grown.wait_for(lambda: self._sent > before, timeout)

    def close(self) -> None:
        """Close the files; delete them if everything has arrived."""
        self._writer.close()
        self._reader.close()
        if self.pending_bytes == 0:
            self._path.unlink(missing_ok=True)
            self._sent_path.unlink(missing_ok=True)
            shutil.rmtree(self.payloads, ignore_errors=True)

    def _cut_torn_record(self) -> None:
        """A process killed while writing leaves a last line without its line feed: it never counted."""
        with self._path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
                os.fsync(file.fileno())


def unsent_bytes(folder: Path) -> int:
    """How much of the journal in ``folder`` waits, whoever is writing it."""
    path = folder / JOURNAL
    return path.stat().st_size - _sent_bytes(folder) if path.exists() else 0


def _sent_bytes(folder: Path) -> int:
    try:
        return int((folder / SENT).read_text())
    except (OSError, ValueError):  # there is none, or the machine lost its power: all is sent again
        return 0


def _record(line: bytes) -> Record:
    """A line as a record. One that a failing disk has spoilt becomes a record that is refused, so that it is told."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {"op": "damaged", "line": line.decode(errors="replace")}
