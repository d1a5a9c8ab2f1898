"""The journal: every write is on disk before it is sent, and stays until it has arrived.

A folder holds ``records/`` (JSON lines in segments that only grow), ``aside/`` (the same, for records that the server
refused: the dead letters), ``sent.json`` (how far ``records/`` has been sent), ``payloads/`` (files that records refer
to), ``about.json`` (which server it is for) and ``lock`` (held by the process that writes or sends it).

A process killed at any byte leaves a readable journal: a record counts from its line feed on, its payload is complete
before the record is written, and ``sent.json`` is replaced as a whole. Every record may be sent again without harm.
"""

import errno
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from mlflow_journal.errors import JournalFull, Unsendable
from mlflow_journal.files import (
    FolderLock,
    Line,
    Position,
    Reader,
    Segments,
    refuse_links,
    replace_file,
    segment_numbers,
)
from mlflow_journal.offset import SENT, read_offset, write_offset
from mlflow_journal.payloads import Payloads

Record = dict[str, Any]
VERSION = 1
ABOUT = "about.json"
SYNC_SECONDS = 0.05
encode = json.JSONEncoder(separators=(",", ":")).encode


class Entry(NamedTuple):
    """A record, its place in a queue, and for one that was set aside what the server answered."""

    record: Record
    start: Position
    end: Position
    raw: bytes
    answer: str = ""


class Busy(Exception):
    """Another process holds the journal."""


class Journal:
    """An append-only queue of records on disk, for many writing threads and one reading thread.

    Args:
        folder: created if need be; what an earlier process left there unsent is read first.
        about: what ``about.json`` says of a new journal.
        max_bytes: that records and payloads may take together.
        sync_always: force every record to the disk before ``append`` returns.

    Raises:
        Busy: another process holds it.
        OSError: the folder cannot be written, or holds links, through which files elsewhere would be written.
    """

    def __init__(
        self, folder: Path, about: Record | None = None, max_bytes: int | None = None, *, sync_always: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_links(folder)
        self.folder = folder
        self._lock = FolderLock(folder / "lock")
        if not self._lock.acquire():
            raise Busy(str(folder))
        self._max_bytes, self._sync_always = max_bytes, sync_always
        if about is not None and not (folder / ABOUT).exists():
            replace_file(folder / ABOUT, encode({"v": VERSION, **about}).encode(), force=True)
        self.records = Segments(folder / "records")
        self.aside = Segments(folder / "aside")
        self.payloads = Payloads(folder / "payloads")
        self.position = read_offset(folder, self.records.first, self.records.end)
        self.changed = threading.Condition()
        self._mutex = threading.Lock()
        self._number = self._last_number() + 1
        self._payload_bytes = self.payloads.bytes_on_disk if max_bytes is not None else 0
        self._aside_start = Position(self.aside.first, 0)
        self.aside_count = sum(1 for _ in self._lines(self.aside, self._aside_start))
        self._to_sync = threading.Event()
        self._syncer: threading.Thread | None = None
        self._closed = False

    def append(self, record: Record, *, force: bool = False, wrote: Callable[[Position], None] | None = None) -> None:
        """Add a record. It survives this process from here on; with ``force``, a power cut too.

        Args:
            record: without version and id, which it is given.
            force: it to the disk now, not within 50 ms.
            wrote: called in the order of the records, with the place behind this one.

        Raises:
            JournalFull: ``max_bytes`` are reached, or the disk is full; the journal is as it was.
        """
        with self._mutex:
            line = encode({"v": VERSION, "id": self._number, **record}).encode()
            self._refuse_beyond_limit(len(line))
            try:
                end = self.records.append(line)
            except OSError as error:
                raise _full(error, self.folder) from error
            self._number += 1
            if wrote:
                wrote(end)
        if force or self._sync_always:
            self.sync()
        elif not self._to_sync.is_set():
            self._sync_soon()

    def add_payload(self, source: Path, name: str) -> str:
        """Copy a file or folder into the journal; gives the name that a record may hold.

        Raises:
            JournalFull: there is no room for it.
            OSError: the source cannot be read.
        """
        if self._max_bytes is not None:
            size = sum(path.stat().st_size for path in [source, *source.rglob("*")] if path.is_file())
            with self._mutex:
                self._refuse_beyond_limit(size)
                self._payload_bytes += size
        try:
            return self.payloads.add(source, name)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise _full(error, self.folder) from error
            raise

    def sync(self) -> None:
        """Force all records to the disk."""
        with suppress(OSError), self._mutex:
            if not self._closed:
                self.records.sync()

    def peek(self, most: int, most_bytes: int = 2**20) -> list[Entry]:
        """The oldest records that were neither sent nor set aside; empty if there are none."""
        return [read_entry(line) for line in self.records.read(self.position, most, most_bytes)]

    @property
    def end(self) -> Position:
        """Behind the last record."""
        return self.records.end

    @property
    def is_empty(self) -> bool:
        """Whether all has arrived."""
        return self.position >= self.records.end and not self.aside_count

    @property
    def unsent_bytes(self) -> int:
        """About how much has not arrived, in bytes of records."""
        return max(0, self.records.bytes_on_disk - self.position.offset) + self.aside.bytes_on_disk

    def ack(self, position: Position, arrived: list[Record]) -> None:
        """All records before ``position`` have arrived or are set aside; the payloads of those in ``arrived`` go."""
        with_payload = [record for record in arrived if "payload" in record]
        self.position = max(position, self.position)
        try:
            write_offset(self.folder, self.position, force=bool(with_payload))
        except OSError:  # the disk is full: what stays is sent again one day, without harm
            with_payload = []
        self._delete_payloads(with_payload)
        with self._mutex:
            self.records.drop_before(self.position)
        with self.changed:
            self.changed.notify_all()

    def dead_letter(self, record: Record, answer: str) -> None:
        """Let a record that the server refuses hold up no other one."""
        self.aside.append(encode({**record, "answer": answer}).encode())
        self.aside_count += 1

    def dead_letters(self) -> Iterator[Entry]:
        """What is set aside, oldest first."""
        return (read_entry(line) for line in self._lines(self.aside, self._aside_start))

    def revise(self, handle: Callable[[list[Entry]], list[Entry]], most: int = 1000) -> None:
        """Give all that is set aside to ``handle``, some at a time; what it gives back stays aside.

        A crash in between leaves some twice, without harm.
        """
        old_end, position = self.aside.end, self._aside_start
        self.aside.begin_segment()
        start = self.aside.end
        gone: list[Record] = []
        while position < old_end:
            window = [read_entry(line) for line in self.aside.read(position, most) if line.start < old_end]
            if not window:
                break
            left = handle(window)
            for entry in left:
                self.aside.append(encode({**entry.record, "answer": entry.answer}).encode())
            stays = {id(entry.record) for entry in left}
            gone += [entry.record for entry in window if "payload" in entry.record and id(entry.record) not in stays]
            self.aside_count += len(left) - len(window)
            position = window[-1].end
        self.aside.sync()
        self._aside_start = start
        self.aside.drop_before(start)
        self._delete_payloads(gone)
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Close the files; delete them if everything has arrived."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            self._to_sync.set()
            with suppress(OSError):
                self.records.sync()
            self.records.close()
            self.aside.close()
            if self.is_empty:
                delete_journal(self.folder)
            self._lock.release()

    def abandon(self) -> None:
        """In a child process: close the files and the lock here, while the parent goes on with them."""
        self._closed = True
        self.records.close()
        self.aside.close()
        self._lock.release()

    def _delete_payloads(self, records: list[Record]) -> None:
        for record in records:
            with suppress(Unsendable, OSError):
                self.payloads.delete(record["payload"])
        if self._max_bytes is not None and records:
            with self._mutex:
                self._payload_bytes = self.payloads.bytes_on_disk

    def _refuse_beyond_limit(self, more: int) -> None:
        if self._max_bytes is None:
            return
        used = self.records.bytes_on_disk + self.aside.bytes_on_disk + self._payload_bytes
        if used + more > self._max_bytes:
            raise JournalFull(
                f"the journal {self.folder} has {used:,} bytes, {more:,} more would be beyond MLFLOW_JOURNAL_MAX_BYTES="
                f"{self._max_bytes:,}; make it larger, or let the tracking server take what waits"
            )

    def _sync_soon(self) -> None:
        self._to_sync.set()
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._keep_syncing, name="mlflow-journal-sync", daemon=True)
            self._syncer.start()

    def _keep_syncing(self) -> None:
        while not self._closed:
            self._to_sync.wait()
            if self._closed:
                return
            time.sleep(SYNC_SECONDS)
            self._to_sync.clear()
            descriptor = -1
            with suppress(OSError):  # outside the mutex: a slow disk makes nobody wait
                with self._mutex:
                    descriptor = -1 if self._closed else os.dup(self.records._writer)
                if descriptor >= 0:
                    os.fdatasync(descriptor)
            if descriptor >= 0:
                os.close(descriptor)

    def _last_number(self) -> int:
        """Of the records that are here. After a crash they are few, or were read to be sent anyway."""
        last = 0
        for line in self._lines(self.records, Position(self.records.end.segment, 0)):
            number = read_entry(line).record.get("id")
            last = max(last, number if isinstance(number, int) else 0)
        return last or 10**9 * self.records.end.segment  # a new segment, whose elder ones are gone

    @staticmethod
    def _lines(queue: Segments, start: Position) -> Iterator[Line]:
        while lines := queue.read(start, 1000):
            yield from lines
            start = lines[-1].end


def read_unsent(folder: Path) -> Iterator[Entry]:
    """All that has not arrived of a journal, whoever writes it: what is set aside, then what was not tried.

    Raises:
        OSError: it cannot be read, or holds a link.
    """
    for name in ("aside", "records"):
        queue = folder / name
        refuse_links(queue)
        numbers = segment_numbers(queue)
        if not numbers:
            continue
        reader, end = Reader(queue), Position(numbers[-1] + 1, 0)
        start = Position(numbers[0], 0)
        if name == "records":
            start = read_offset(folder, numbers[0], end)
        try:
            while lines := reader.read(start, end, 1000):
                yield from map(read_entry, lines)
                start = lines[-1].end
        finally:
            reader.close()


def read_about(folder: Path) -> Record:
    """What ``about.json`` of a journal says; empty where it is missing or damaged."""
    try:
        found = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def delete_journal(folder: Path) -> None:
    """Delete the files of a journal, and no others; the lock goes last."""
    for name in ("records", "aside", "payloads", "kept"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (SENT, f".{SENT}.new", "tagged.json", ".tagged.json.new", ABOUT, "lock"):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def read_entry(line: Line) -> Entry:
    """A line as a record. One that a failing disk has spoilt becomes one that cannot be sent, so that it is told."""
    try:
        record = json.loads(line.content)
        if not isinstance(record, dict):
            raise TypeError
    except (ValueError, TypeError, RecursionError):
        record = {"op": "damaged", "line": line.content.decode(errors="replace")[:1000]}
    answer = record.pop("answer", "")
    return Entry(record, line.start, line.end, line.content, str(answer))


def _full(error: OSError, folder: Path) -> JournalFull:
    return JournalFull(f"nothing can be written to the journal {folder}: {error.strerror or error}; make room there")
