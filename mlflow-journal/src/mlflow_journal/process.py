"""One journal and one sender a process and address, whatever the process does: fork, spawn, threads, its end."""

import hashlib
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from mlflow_journal.errors import JournalFull, ServerAway
from mlflow_journal.files import Position
from mlflow_journal.identities import Identities
from mlflow_journal.journal import Journal
from mlflow_journal.kept import KeptFiles
from mlflow_journal.mirror import Mirror
from mlflow_journal.offset import read_offset
from mlflow_journal.operations import LogArtifact, Operation, Target
from mlflow_journal.sender import Sender
from mlflow_journal.server import Server, patience, redact
from mlflow_journal.settings import Settings

T = TypeVar("T")
#: After a read has found the server away, the next ones do not ask for so long.
AWAY_SECONDS = 5.0
MOST_WRITTEN = 10_000
POLL_SECONDS = 0.02  # between two looks at the journal of the parent process


class Process:
    """What this process has to do with one tracking server.

    Args:
        address: of the server; user and password in it are used, and never written down.
        settings: of the journal.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        self.address, self.settings = address, settings
        self.folder = address_folder(settings.folder, address)
        self.server = Server(address)
        self.identities = Identities(self.folder)
        self.mirror = Mirror(self.identities)
        self.kept = KeptFiles()
        self.sender = Sender(self.folder, self.target)
        self.warned_full = False
        self._journal: Journal | None = None
        self._written: dict[str, Position] = {}
        self._parents: tuple[Path, dict[str, Position]] | None = None  # what the parent had not sent at the fork
        self._mutex = threading.Lock()
        self._away_at = -AWAY_SECONDS  # when a read found the server away, by the monotonic clock

    def target(self, journal: Journal) -> Target:
        """Where a journal is sent."""
        return Target(self.server, self.identities, journal.payloads)

    @property
    def journal(self) -> Journal:
        """The journal of this process, made at the first write."""
        if self._journal is None:
            with self._mutex:
                if self._journal is None:
                    self._journal = self._open()
                    self.sender.start(self._journal)
        return self._journal

    @property
    def has_journal(self) -> bool:
        """Whether anything was written."""
        return self._journal is not None

    def write(self, operation: Operation) -> None:
        """Journal a write; it can be read at once.

        Raises:
            JournalFull: there is no room.
        """
        self.append(operation.to_json(), operation.subject, force=operation.forced)
        self.mirror.apply(operation)

    def append(self, record: dict[str, Any], subject: str, *, force: bool = False) -> None:
        """Journal a record, without the mirror."""

        def wrote(position: Position) -> None:
            self._written[subject] = position

        self.journal.append(record, force=force, wrote=wrote)
        self.sender.wake()
        if len(self._written) > MOST_WRITTEN:
            self._forget_written()

    def write_artifact(self, artifact_uri: str, source: Path, folder: str) -> None:
        """Copy a file or folder into the journal, to be uploaded.

        Raises:
            JournalFull: there is no room, and artifacts are not to be dropped.
        """
        try:
            payload = self.journal.add_payload(source, source.name or source.resolve().name or "files")
        except JournalFull as error:
            if not self.settings.drop_artifacts:
                raise
            if not self.warned_full:
                print(f"mlflow-journal: artifacts are dropped from here on: {error.message}", file=sys.stderr)
                self.warned_full = True
            return
        self.kept.wrote(artifact_uri, folder, source, self.journal.folder / "kept")
        self.write(LogArtifact(artifact_uri, self.mirror.owner(artifact_uri), folder, payload))

    def flush(self, *subjects: str, seconds: float) -> bool:
        """Wait until what is pending for these has arrived, or is refused; false: the server is away, or slow."""
        names = {name for subject in subjects for name in (subject, self.identities.canonical(subject))}
        if self._parents is not None and not self._parent_has_sent(names, seconds):
            return False
        if self._journal is None:
            return True
        position = max((self._written.get(name, Position(0, 0)) for name in names), default=Position(0, 0))
        return self._journal.position >= position or self.sender.wait(position, seconds)

    def flush_all(self, seconds: float) -> bool:
        """Wait until all that is pending has arrived, or is refused."""
        return self._journal is None or self.sender.wait(self._journal.end, seconds)

    def arrive(self, seconds: float) -> bool:
        """Wait until all has arrived, through an outage as well, for so long as something does."""
        if self._journal is None:
            return True
        return self.sender.wait(self._journal.end, seconds, patient=True) and self._journal.is_empty

    @property
    def is_away(self) -> bool:
        """Whether the server was away a moment ago."""
        return self.sender.trouble is not None or (
            time.monotonic() < self._away_at + AWAY_SECONDS and self.sender.reached_at < self._away_at
        )

    def finish(self) -> None:
        """The program ends: wait a while for what is left, and say in one line what still is."""
        journal = self._journal
        if journal is None:
            return
        seconds = self.settings.exit_seconds
        with suppress(KeyboardInterrupt):
            self.sender.wait(journal.end, seconds, patient=True)
            self.sender.stop()
            if not self.sender.trouble:
                self.sender.finish_aside()
        line = self._what_is_left(journal)
        with suppress(OSError, KeyboardInterrupt):
            journal.close()
        if line:
            with suppress(OSError, ValueError):
                print(line, file=sys.stderr, flush=True)

    def ask(self, question: Callable[[], T], seconds: float, *, repeat: bool = False) -> T:
        """Ask the server, with so much patience.

        Raises:
            ServerAway: it does not answer, or did not a moment ago.
        """
        if self.is_away and not repeat:
            raise ServerAway(self.sender.trouble or f"{redact(self.address)} did not answer a moment ago")
        try:
            with patience(seconds, repeat=repeat):
                answer = question()
        except ServerAway:
            self._away_at = time.monotonic()
            raise
        self._away_at = -AWAY_SECONDS
        return answer

    def forget(self) -> None:
        """In a child process: what is the parent's stays the parent's."""
        if self._journal is not None:
            with suppress(OSError):
                self._journal.abandon()

    def child(self) -> "Process":
        """For a child process: the same address, with nothing of its own yet."""
        child = Process(self.address, self.settings)
        child.mirror = self.mirror.after_fork(child.identities)
        if self._journal is not None:
            pending = {name: end for name, end in self._written.items() if end > self._journal.position}
            child._parents = (self._journal.folder, pending) if pending else None
        return child

    def _parent_has_sent(self, names: set[str], seconds: float) -> bool:
        """Wait until the parent has sent what it had written of these when it forked: this process may read it."""
        assert self._parents is not None
        folder, pending = self._parents
        until = time.monotonic() + seconds
        for name in names & pending.keys():
            while folder.is_dir() and read_offset(folder, 0, Position(sys.maxsize, 0)) < pending[name]:
                if time.monotonic() > until:
                    return False
                time.sleep(POLL_SECONDS)
            pending.pop(name, None)
        return True

    def _what_is_left(self, journal: Journal) -> str:
        if journal.is_empty:
            return ""
        parts = []
        if journal.position < journal.end:
            why = self.sender.trouble or "there was no time"
            parts.append(f"{journal.unsent_bytes:,} bytes of records have not arrived ({why})")
        if journal.aside_count:
            first = next(journal.dead_letters(), None)
            parts.append(f"{journal.aside_count} records are refused ({first.answer if first else ''})")
        return (
            f"mlflow-journal: {' and '.join(parts)[:600]}; they are kept in {journal.folder} and are sent by the next "
            "program that tracks there, or by `mlflow-journal sync`"
        )

    def _open(self) -> Journal:
        about = {"address": redact(self.address), "pid": os.getpid(), "program": " ".join(sys.argv[:1])}
        name = f"j-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Journal(self.folder / name, about, self.settings.max_bytes, sync_always=self.settings.sync_always)
        except OSError as error:
            raise JournalFull(
                f"no journal can be made in {self.folder}: {error.strerror or error}; make room there, let it be "
                "written, or set MLFLOW_JOURNAL_DIR to another folder (unset, MLflow works without a journal)"
            ) from error

    def _forget_written(self) -> None:
        position = self.journal.position
        for name in [name for name, end in list(self._written.items()) if end <= position]:
            self._written.pop(name, None)


_processes: dict[tuple[str, Settings], Process] = {}
_mutex = threading.Lock()


def of(address: str, settings: Settings) -> Process:
    """The one of this process, for an address and settings."""
    found = _processes.get((address, settings))
    if found is None:
        with _mutex:
            found = _processes.get((address, settings))
            if found is None:
                found = _processes[address, settings] = Process(address, settings)
                found.sender.start()  # also for what earlier processes have left
    return found


def address_folder(folder: Path, address: str) -> Path:
    """Where the journals of an address are: its host, readable, and a digest that no other address has."""
    public = redact(address).rstrip("/")
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", public.partition("://")[2])[:60]
    return folder / f"{slug}-{hashlib.sha256(public.encode()).hexdigest()[:12]}"


def flush_all(seconds: float) -> bool:
    """Wait until all has arrived, for so long as something does."""
    left = [process for process in list(_processes.values()) if not process.arrive(seconds)]
    return not left


def finish_all() -> None:
    """At the end of this process."""
    for process in list(_processes.values()):
        process.finish()


def _after_fork_in_child() -> None:
    global _mutex
    _mutex = threading.Lock()
    for key, parent in list(_processes.items()):
        parent.forget()
        _processes[key] = parent.child()
    if _processes and "multiprocessing.util" in sys.modules:  # its children skip atexit
        sys.modules["multiprocessing.util"].Finalize(None, finish_all, exitpriority=-100)


os.register_at_fork(after_in_child=_after_fork_in_child)
