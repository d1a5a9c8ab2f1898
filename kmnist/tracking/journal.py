"""The journal: everything a run wants to tell MLflow is on disk before it is sent, and stays until it has arrived.

A folder holds ``journal.jsonl`` (one JSON record a line, append only), ``sent`` (how far it has been sent, and which
records before that were set aside because the server refused them) and ``payloads/`` (files that records refer to). A
process killed at any byte leaves a readable journal: a record counts from its line feed on, its payload is complete
before the record is written, and ``sent`` is replaced as a whole. All are forced to the disk, so that a machine that
loses its power loses no more than a killed process does.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kmnist.durable import cut_torn_line
from kmnist.tracking.payloads import Payloads
from kmnist.tracking.records import Record, Unsendable
from kmnist.tracking.sent import SENT, Aside, Progress

JOURNAL = "journal.jsonl"
LOCK = "lock"  # held by the process that works on the run, for as long as it lives
REJECTED = "rejected.jsonl"  # where version 0.1 put what the server refused


class Entry(NamedTuple):
    """A record and its place in the journal, in bytes."""

    record: Record
    start: int
    end: int


class Journal:
    """An append-only queue of records on disk, for one writing and one reading thread.

    Args:
        folder: created if need be; what an earlier process left there unsent is read first.

    Raises:
        OSError: the folder cannot be written, or holds links, through which files elsewhere would be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        refuse_links(folder)
        self.payloads = Payloads(folder / "payloads")
        self._path = folder / JOURNAL
        self._path.touch()
        cut_torn_line(self._path)
        self._size = self._path.stat().st_size
        self._progress = Progress.read(folder, self._size)
        self._writer = self._path.open("ab", buffering=0)
        self._reader = self._path.open("rb")
        self._changed = threading.Condition()
        self._moves = 0
        self._released = False
        self._take_up_rejected()

    def append(self, record: Record) -> None:
        """Add a record. It survives this process, and this machine's power, from here on.

        Raises:
            OSError: the disk is full; the journal is as it was.
        """
        line = json.dumps(record).encode() + b"\n"
        with self._changed:
            try:
                if self._writer.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
                os.fdatasync(self._writer.fileno())
            except OSError:
                self._writer.truncate(self._size)  # half a record would spoil the next one
                raise
            self._size += len(line)
            self._changed.notify_all()

    def peek(self, timeout: float, most: int = 1) -> list[Entry]:
        """The oldest records that were not tried yet; empty if there is none within ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._progress.position < self._size or self._released, timeout)
        found: list[Entry] = []
        for entry in self.after(self._progress.position):
            found.append(entry)
            if len(found) == most:
                break
        return found

    def after(self, position: int) -> Iterator[Entry]:
        """The records from a position on, to the end that the journal has now."""
        end = self._size
        while position < end:
            self._reader.seek(position)
            line = self._reader.readline()
            yield Entry(_record(line), position, position := position + len(line))

    def strike(self, *entries: Entry) -> None:
        """These records have arrived: their payloads go."""
        starts = {entry.start for entry in entries}
        with_payload = [entry.record for entry in entries if "payload" in entry.record]
        self._move([a for a in self._progress.aside if a.start not in starts], max(e.end for e in entries))
        if self._save(force=bool(with_payload)):
            for record in with_payload:
                with suppress(Unsendable, OSError):
                    self.payloads.delete(record)

    def set_aside(self, entry: Entry, answer: str) -> None:
        """Let a record that the server refuses, or that cannot be sent, hold up no other one."""
        others = [aside for aside in self._progress.aside if aside.start != entry.start]
        self._move(sorted([*others, Aside(entry.start, entry.end, answer)], key=lambda aside: aside.start), entry.end)
        self._save()

    @property
    def aside(self) -> list[tuple[Entry, str]]:
        """What is set aside, oldest first, and what the server answered; for the reading thread."""
        return [(next(self.after(aside.start)), aside.answer) for aside in self._progress.aside]

    @property
    def set_aside_count(self) -> int:
        """How many records are set aside."""
        return len(self._progress.aside)

    @property
    def tagged(self) -> bool:
        """Whether the run may have a tag that says what is missing; survives this process."""
        return self._progress.tagged

    @tagged.setter
    def tagged(self, tagged: bool) -> None:
        if tagged != self._progress.tagged:
            self._progress.tagged = tagged
            self._save()

    @property
    def unsent_bytes(self) -> int:
        """How much of the journal has not arrived yet."""
        with self._changed:
            return self._progress.unsent_bytes(self._size)

    @property
    def is_complete(self) -> bool:
        """Whether all has arrived, and no tag says otherwise."""
        return not self.unsent_bytes and not self.tagged

    @property
    def moves(self) -> int:
        """Grows whenever a record arrives or is set aside."""
        return self._moves

    def wait_for_move(self, seen: int, timeout: float) -> bool:
        """Wait until ``moves`` is beyond ``seen`` (true) or ``timeout`` seconds pass (false)."""
        with self._changed:
            return self._changed.wait_for(lambda: self._moves > seen, timeout)

    def release(self) -> None:
        """Let nobody wait for this journal any longer."""
        with self._changed:
            self._released = True
            self._moves += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Close the files; delete them if everything has arrived."""
        self._writer.close()
        self._reader.close()
        if self.is_complete:
            self._path.unlink(missing_ok=True)
            (self.folder / SENT).unlink(missing_ok=True)
            self.payloads.delete_all()

    def _move(self, aside: list[Aside], end: int) -> None:
        with self._changed:
            self._progress.aside = aside
            self._progress.position = max(self._progress.position, end)
            self._moves += 1
            self._changed.notify_all()

    def _save(self, *, force: bool = False) -> bool:
        """After ``close`` another process may be at work here, while a call of ours still hangs in a server."""
        return not self._writer.closed and self._progress.write(self.folder, force=force)

    def _take_up_rejected(self) -> None:
        """What version 0.1 had given up is tried again, like any other record."""
        rejected = self.folder / REJECTED
        if rejected.exists():
            there = [entry.record for entry in self.after(0)]  # some, if this was interrupted
            for line in rejected.read_bytes().splitlines():
                record = {key: value for key, value in _record(line).items() if key != "reason"}
                if record not in there:
                    self.append(record)
            rejected.unlink()


@dataclass(frozen=True)
class Waiting:
    """What has not arrived of a journal.

    Attributes:
        unsent_bytes: of its records.
        aside: those that were set aside, and what the server answered.
        tagged: whether the run may have a tag that says what is missing.
        since: when the journal was written to last.
    """

    unsent_bytes: int
    aside: list[tuple[Record, str]]
    tagged: bool
    since: datetime


def read_journal(folder: Path) -> Waiting | None:
    """What waits in ``folder``, whoever is writing there; ``None``: there is no journal."""
    path, rejected = folder / JOURNAL, folder / REJECTED
    there = [file.stat() for file in (path, rejected) if file.exists()]
    if not there:
        return None
    content = path.read_bytes() if path.exists() else b""
    progress = Progress.read(folder, len(content))
    aside = [(_record(content[one.start : one.end]), one.answer) for one in progress.aside]
    old = rejected.read_bytes() if rejected.exists() else b""
    aside += [(record, str(record.get("reason"))) for record in map(_record, old.splitlines())]
    unsent = progress.unsent_bytes(len(content)) + len(old)
    since = datetime.fromtimestamp(max(file.st_mtime for file in there))
    return Waiting(unsent, aside, progress.tagged, since)


def unsent_bytes(folder: Path) -> int:
    """How much of the journal in ``folder`` waits, whoever is writing it."""
    waiting = read_journal(folder)
    return waiting.unsent_bytes if waiting else 0


def refuse_links(folder: Path) -> None:
    """A folder of a run is made by us and holds no links; one that does would have us write what they point to.

    Raises:
        OSError: there is one.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, which no run's folder has", str(path))


def _record(line: bytes) -> Record:
    """A line as a record. One that a failing disk has spoilt becomes one that cannot be sent, so that it is told."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return {"op": "damaged", "line": line.decode(errors="replace")}
