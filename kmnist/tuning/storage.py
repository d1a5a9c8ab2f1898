"""Where studies are kept: a file that local processes share, or PostgreSQL that any number of machines share.

Both come with a lock for the whole study, which Optuna has not: under it a worker looks at the budget and takes a
trial in one step, so that a study has exactly as many trials as it was given.
"""

import logging
import time
import weakref
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import ArgumentError

from kmnist.addresses import parse_database, redact
from kmnist.errors import KmnistError, StudyError, in_one_line, root_reason
from kmnist.extras import require
from kmnist.settings import shorten
from kmnist.text import complain
from kmnist.tuning.journal import Journal
from kmnist.tuning.retry import AWAY_SECONDS, RETRY_SECONDS, STORAGE_IS_AWAY, is_there, passes

# The name of our own part in PostgreSQL's one space of advisory locks.
LOCK_SPACE = zlib.crc32(b"kmnist") - 2**31
CONNECT_SECONDS = 10


class StudyStorage(Protocol):
    """A place for studies, with a lock."""

    @property
    def optuna(self) -> BaseStorage:
        """Optuna's part."""

    @property
    def address(self) -> str:
        """That opens it from any folder, with its password."""

    @property
    def shown(self) -> str:
        """The address, without its password."""

    @property
    def is_file(self) -> bool:
        """Whether it can be reached from its own machine only."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that one process at a time can hold, on any machine, and that a killed one cannot keep."""


def open_storage(address: str, *, known: bool = False) -> StudyStorage:
    """Open a storage, and make it if it is not there yet.

    Args:
        address: a path, or ``postgresql://user@host/database``.
        known: it has answered before: one that does not answer is waited for.

    Raises:
        SettingError: the address cannot be read.
        StudyError: it is of another kind, or the storage does not answer.
        MissingExtra: PostgreSQL is asked for, and its client is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # we say ourselves what happens to a trial
    scheme, separator, rest = address.partition("://")
    shown = redact(address)
    if not separator:
        if shown != address:
            raise StudyError(f"storage {shown}: write it as an address, postgresql://user@host/database")
        return FileStorage(Path(address))
    if scheme.startswith("sqlite"):
        raise StudyError(
            f"storage {shown}: sqlite is locked by processes that write side by side, and a study has at least two; "
            "name a file (--storage studies.log), which local workers can share, or PostgreSQL for several machines"
        )
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise StudyError(f"storage {shown}: must be the path of a file or postgresql://user@host/database")
    return PostgresStorage(parse_database(f"postgresql+psycopg://{rest}"), shown, known=known)


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """Around code that reads what a storage holds, and that any program may have written there.

    Raises:
        StudyError: it is not what it should be.
    """
    try:
        yield
    except (KmnistError, *STORAGE_IS_AWAY):
        raise
    except Exception as error:  # KeyError, ValidationError, RecursionError, ...: whatever the values provoke
        reason = shorten(in_one_line(error))
        raise StudyError(
            f"storage {shown} holds a study that is damaged or of another version of this program ({reason}); "
            "name another with --storage"
        ) from error


class FileStorage:
    """An append-only file of Optuna's, shared by the processes of one machine."""

    is_file = True

    def __init__(self, path: Path) -> None:
        self.shown = str(path)
        self._path = path.absolute()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            journal = Journal(self._path, self.shown)
            self.optuna: BaseStorage = JournalStorage(journal)
        except OSError as error:
            raise StudyError(f"storage {path} cannot be used ({error}); name another with --storage") from error
        except StudyError:
            raise
        except Exception as error:  # Optuna replays the file, and raises whatever its lines provoke
            raise journal.damage(error) from error

    @property
    def address(self) -> str:
        """See :class:`StudyStorage`."""
        return str(self._path)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """See :class:`StudyStorage`."""
        with FileLock(f"{self._path}.{zlib.crc32(name.encode()):08x}.lock"):
            yield


class PostgresStorage:
    """A PostgreSQL database, reached with psycopg. A process holds one connection, two while it has the lock.

    A server whose connections are all taken, or that is just being started, is waited for.
    """

    is_file = False

    def __init__(self, url: URL, shown: str, *, known: bool) -> None:
        require("postgres", f"storage {shown}")
        self.shown = shown
        self.address = url.render_as_string(hide_password=False)
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it announces each table
        begun, told = time.monotonic(), False
        while True:
            try:
                self.optuna: BaseStorage = self._open(url)
                return
            except (*STORAGE_IS_AWAY, ArgumentError, RuntimeError) as error:
                if not (is_there(error) or (known and passes(error))) or time.monotonic() - begun > AWAY_SECONDS:
                    raise StudyError(
                        f"storage {shown} does not answer: {root_reason(error)}. Start it, or name another"
                    ) from error
                if not told:
                    complain(f"storage {shown} takes no connection now ({root_reason(error)}); waiting for one")
                    told = True
            time.sleep(RETRY_SECONDS)

    def _open(self, url: URL) -> RDBStorage:
        options: dict[str, Any] = {"connect_args": {"connect_timeout": CONNECT_SECONDS}, "pool_pre_ping": True}
        self._engine = create_engine(url, poolclass=NullPool, **options)
        with self.lock("make the tables"):
            # A server takes a hundred connections: many workers must not hold more than they use.
            database = RDBStorage(self.address, engine_kwargs={"pool_size": 1, **options})
        self._engine = database.engine
        weakref.finalize(self, database.engine.dispose)  # Optuna itself would leave its connections open
        return database

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """See :class:`StudyStorage`. PostgreSQL frees it at the end of the transaction or of the connection."""
        with self._engine.begin() as connection:
            key = zlib.crc32(name.encode()) - 2**31
            connection.execute(text("SELECT pg_advisory_xact_lock(:space, :key)"), {"space": LOCK_SPACE, "key": key})
            yield
