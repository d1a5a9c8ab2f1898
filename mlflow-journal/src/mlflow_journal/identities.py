"""Provisional ids, and the server's: what begins while the server is away is named here until the server names it.

A provisional id has a form that the server never gives, so that it is found in any text: in a record, in a tag that
names a parent run, in the file ``MLmodel`` of a model. The file ``identities.jsonl`` is shared by all processes that
write for one address.
"""

import json
import os
import re
import threading
import uuid
from pathlib import Path

from mlflow_journal.errors import Unresolved
from mlflow_journal.files import cut_torn_line

PROVISIONAL = re.compile(r"(?:m-)?journal[0-9a-f]{25}")
#: The tag by which a creation whose answer was lost is found again.
CREATION_TAG = "mlflow_journal.creation"
#: Artifact roots of what the server does not know yet.
ARTIFACTS = "mlflow-artifacts:/journal/"


def new_id() -> str:
    """A provisional id, of 32 characters as MLflow's ids of runs have."""
    return f"journal{uuid.uuid4().hex[:25]}"


def new_model_id() -> str:
    """A provisional id of a logged model."""
    return f"m-{new_id()}"


def is_provisional(some_id: object) -> bool:
    """Whether an id was given by this package."""
    return isinstance(some_id, str) and PROVISIONAL.fullmatch(some_id) is not None


class Identities:
    """Which provisional id became which of the server's, for one address.

    Args:
        folder: of the address.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "identities.jsonl"
        self._known: dict[str, str] = {}
        self._read = 0
        self._mutex = threading.Lock()

    def find(self, provisional: str) -> str | None:
        """The server's id; ``None``: it has none yet."""
        with self._mutex:
            if provisional not in self._known:
                self._read_more()
            return self._known.get(provisional)

    def all(self) -> dict[str, str]:
        """Every provisional id that has one of the server's."""
        with self._mutex:
            self._read_more()
            return dict(self._known)

    def canonical(self, some_id: str) -> str:
        """The server's id of a provisional one, if it has one; any other id as it is."""
        return (self.find(some_id) or some_id) if PROVISIONAL.fullmatch(some_id) else some_id

    def record(self, provisional: str, real: str) -> None:
        """Remember an id that the server gave, for all processes; forced to the disk."""
        line = json.dumps({"v": 1, "provisional": provisional, "id": real}).encode() + b"\n"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size and os.pread(descriptor, 1, os.fstat(descriptor).st_size - 1) != b"\n":
                cut_torn_line(descriptor)
            os.write(descriptor, line)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        with self._mutex:
            self._known[provisional] = real

    def resolve(self, text: str) -> str:
        """A text with the server's ids in the place of provisional ones.

        Raises:
            Unresolved: one has none yet.
        """
        if "journal" not in text:
            return text

        def replacement(match: re.Match[str]) -> str:
            real = self.find(match.group())
            if real is None:
                raise Unresolved(match.group())
            return real

        return PROVISIONAL.sub(replacement, text)

    def _read_more(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
        except OSError:
            return
        complete = content[: content.rfind(b"\n") + 1]
        self._read += len(complete)
        for line in complete.splitlines():
            try:
                found = json.loads(line)
                self._known[str(found["provisional"])] = str(found["id"])
            except (ValueError, TypeError, KeyError):
                continue
