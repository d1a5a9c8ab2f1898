"""The file of studies: Optuna's journal, which Optuna's own programs may write to beside us.

``optuna-dashboard studies.log`` writes notes, for example. Its lock is a symbolic link that any process may delete
after 30 seconds, because nobody can tell whether its holder lives. Ours is the operating system's, which frees it when
its holder dies. So our processes take turns with a lock of their own, and whoever has that takes Optuna's inside it.
"""

import errno
import json
import os
import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from kmnist.durable import cut_torn_line
from kmnist.errors import StudyError, in_one_line
from kmnist.settings import shorten

GRACE_SECONDS = 30.0  # Optuna's own: a lock that stays for so long was left by a process that died
POLL_SECONDS = 0.01
#: Our link leads to the file, as Optuna's does (it looks at the age of what the link leads to), by a path that nobody
#: types: a link like this is ours.
MARK = ".//.//"
CREATE_STUDY, CREATE_TRIAL = 0, 4  # numbers of Optuna's operations: the ids of studies and trials count these


class SharedLock(JournalFileSymlinkLock):
    """Held by one process at a time: ours and Optuna's.

    A holder of ours that is killed leaves its link. The next one of ours removes it at once, for it has the lock that
    the dead one had; Optuna's programs remove it after 30 seconds. A holder that is killed in the middle of a record,
    or whose disk is full, leaves half a line, to which the next record would be glued: it is cut off.

    Args:
        path: absolute, of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._ours = FileLock(f"{path}.kmnist.lock")
        self._link = Path(f"{path}.lock")
        self._target = MARK + path.name

    def acquire(self) -> bool:
        """Wait for the lock.

        Raises:
            OSError: it cannot be made.
        """
        self._ours.acquire()
        try:
            self._take_optunas()
            cut_torn_line(self._path)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Give it back."""
        try:
            if self._is_ours():
                cut_torn_line(self._path)
                self._link.unlink()
        finally:
            self._ours.release()

    def _is_ours(self) -> bool:
        """Whether the link is one of ours; a file of that name is a lock of Optuna's other kind."""
        try:
            return os.readlink(self._link) == self._target  # noqa: PTH115 - a Path would tidy the mark away
        except OSError:
            return False

    def _take_optunas(self) -> None:
        known, since = (0, 0), 0.0
        while True:
            try:
                self._link.symlink_to(self._target)
                return
            except FileExistsError:
                pass
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    return  # a file system without links: Optuna's programs cannot write here either
                raise
            with suppress(FileNotFoundError):  # it was given back just now
                found = self._link.lstat()
                if self._is_ours() or self._is_old(found):
                    self._link.unlink()
                    continue
                if known != (known := (found.st_ino, found.st_mtime_ns)):
                    since = time.monotonic()
                elif time.monotonic() - since > GRACE_SECONDS:
                    self._link.unlink()
                    continue
            time.sleep(POLL_SECONDS)

    def _is_old(self, found: os.stat_result) -> bool:
        """Whether it was left long ago; an earlier version of this program always left a file of this name."""
        return time.time() - found.st_mtime > GRACE_SECONDS


class Journal(JournalFileBackend):
    """The file's lines. One that cannot be read is told with its number and a way on.

    Args:
        path: absolute, of the file; it is made if it is not there.
        shown: its name in messages.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path, shown: str) -> None:
        super().__init__(str(path), SharedLock(path))
        self._path, self._shown = path, shown
        self._line = 0

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """See Optuna's.

        Raises:
            StudyError: a line is damaged.
        """
        self._line = log_number_from
        try:
            for log in super().read_logs(log_number_from):
                self._line += 1
                yield log
        except (ValueError, RecursionError) as error:
            raise self.damage(error) from error

    def damage(self, error: Exception) -> StudyError:
        """What is wrong with the file, and how to go on.

        Args:
            error: what the first line that is not good provoked, or the last one that was read.
        """
        lines = self._path.read_bytes().split(b"\n")[:-1]
        records = [_record(line) for line in lines]
        if not records or records[0] is None:
            return StudyError(f"storage {self._shown} is not a file of studies; name another with --storage")
        number = records.index(None) + 1 if None in records else max(self._line, 1)
        before, after = records[: number - 1], records[number:]
        start = lines[number - 1].rfind(b'{"op_code"')
        rest = _record(lines[number - 1][start:]) if start > 0 else None
        name = shlex.quote(self._shown)
        if rest is not None and _is_whole([*before, rest, *after]):
            way = f"sed -i.damaged {_KEEP_LAST.format(number)} {name} keeps its last record; the other never counted"
        elif _is_whole([*before, *after]):
            way = f"sed -i.damaged {number}d {name} leaves it out, and nothing but that record is lost"
        else:
            way = (
                f"head -n {number - 1} {name} > before-{number}.log keeps what came before it, for "
                f"--storage before-{number}.log: what follows cannot be told apart without it"
            )
        reason = shorten(in_one_line(error))
        return StudyError(
            f"storage {self._shown}: line {number} of {len(lines)} is damaged ({reason}). End all commands that use "
            f"the file, then go on: {way}"
        )


_KEEP_LAST = """'{}s/.*{{"op_code"/{{"op_code"/'"""


def _record(line: bytes) -> dict[str, Any] | None:
    """A line's record, or ``None`` if it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("op_code"), int) else None


def _is_whole(records: Sequence[dict[str, Any] | None]) -> bool:
    """Whether each study and trial that a record is about was made before it.

    Ids are not written where studies and trials are made, but counted: without one of these lines, all ids after it
    would mean others.
    """
    made = {"study_id": 0, "trial_id": 0}
    for record in filter(None, records):
        if record["op_code"] in (CREATE_STUDY, CREATE_TRIAL):
            made["study_id" if record["op_code"] == CREATE_STUDY else "trial_id"] += 1
        for name, count in made.items():
            found = record.get(name, -1)
            if not isinstance(found, int) or found >= count:
                return False
    return True
