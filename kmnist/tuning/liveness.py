"""Signs of life: which commands and workers are at work on a study, and which of them died without a word.

Optuna's heartbeat works inside ``Study.optimize`` on a database only, fails the trial and enqueues a copy. Ours works
on any storage, and leaves the trial as it is, for another worker to go on with.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil
from optuna import Study

from kmnist.tuning.retry import STORAGE_IS_AWAY, wait_out

PREFIX = "session "
BEAT_SECONDS = 10.0
GRACE_SECONDS = 60.0
GLANCE_SECONDS = 300.0  # two machines' clocks may differ by as much


def new_id() -> str:
    """For a command or a worker: unlike the number of its process, no other machine has the same."""
    return uuid.uuid4().hex[:12]


class Session:
    """A command, or one worker of it, at work on a study, for as long as the ``with`` block lasts.

    Its record is an attribute of the study: host, process, a counter that a thread turns, and when it last did.

    Args:
        study: that is worked on.
        id: of a worker; ``None``: a new one, of a command.
        command: id of the worker's command.
    """

    def __init__(self, study: Study, id: str | None = None, command: str | None = None) -> None:
        self.id = id or new_id()
        self._study = study
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="kmnist-session", daemon=True)
        self._record: dict[str, Any] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "beat": 0,
        }
        if command is not None:
            self._record["command"] = command

    def __enter__(self) -> "Session":
        wait_out(self._write)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        self._thread.join()
        self._record["beat"] = None
        if error is None:
            wait_out(self._write)
            return
        with suppress(*STORAGE_IS_AWAY):  # who is interrupted does not wait, and what went wrong first is told
            self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._record["beat"] += 1
            try:
                self._write()
            except Exception:  # the storage is away: whoever sees no beat meanwhile cannot reach it either
                continue

    def _write(self) -> None:
        self._study.set_user_attr(PREFIX + self.id, {**self._record, "at": time.time()})


class Liveness:
    """Tells the dead sessions from the living, as seen from this process."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, float]] = {}

    def forget(self) -> None:
        """Begin anew: the storage was away, and nobody could give a sign of life."""
        self._seen.clear()

    def is_dead(self, session: str, study_attrs: Mapping[str, Any]) -> bool:
        """Whether a session has ended or died.

        On this machine it is dead at once when its process is gone, and not while somebody has merely stopped the
        command, with its workers or without. Else it is dead when its counter has stood still for a minute *of our
        clock*, and of one that nobody sets: the clocks of two machines are not compared. So a worker that alone is
        stopped, or hangs, or is cut off with its machine, is dead, too.
        """
        record = study_attrs.get(PREFIX + session)
        if record is None or record["beat"] is None:
            return True
        command = study_attrs.get(PREFIX + record["command"]) if "command" in record else record
        if record["host"] == socket.gethostname():
            if _status(record["pid"]) in (None, psutil.STATUS_ZOMBIE):
                return True
            if command and command["host"] == record["host"] and _status(command["pid"]) == psutil.STATUS_STOPPED:
                return False
        beat, since = self._seen.get(session, (None, 0.0))
        if beat != record["beat"]:
            self._seen[session] = (record["beat"], time.monotonic())
            return False
        return time.monotonic() - since > GRACE_SECONDS

    def seems_dead(self, session: str, study_attrs: Mapping[str, Any]) -> bool:
        """The same for whoever looks once: here the clocks of two machines are compared.

        So it is for the eye; nothing is ended by it.
        """
        sign: float = study_attrs[PREFIX + session].get("at", 0.0)
        return self.is_dead(session, study_attrs) or time.time() - sign > GLANCE_SECONDS


def _status(pid: int) -> str | None:
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return None
