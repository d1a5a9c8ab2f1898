"""The database behind a tracking store, before MLflow opens it: made whole, and opened only as what it is.

MLflow makes the tables of a new database one by one. Two processes that do so at once spoil each other's work, and one
that is killed leaves a database that nothing opens. It also changes the tables of a database that an older MLflow made,
unasked, whoever looks into it; then every older program is locked out. So a new file is made under another name, and
anything but a new file or a database of this very MLflow is refused.
"""

import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mlflow
import sqlalchemy
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from packaging.version import InvalidVersion, Version
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.pool import NullPool

from kmnist.addresses import redact
from kmnist.errors import TrackingError

CONNECT_SECONDS = 10
#: For how long a file that another program has locked, or is still making, is waited for.
BUSY_SECONDS = 20.0
OF_MLFLOW, OF_OPTUNA = {"experiments", "runs"}, {"studies", "trials"}
#: The last changes of tables that released versions made; others are told by what runs say of themselves.
HEADS = {"dc11669786a5": "3.17", "f4a9b2c7d1e6": "3.18"}
MAKING = 5_066_549_580_791_808  # the lock of a database server under which its tables are made; any number would do


@dataclass(frozen=True)
class Contents:
    """What is in a database.

    Attributes:
        tables: their names.
        revision: of MLflow's tables, or of whatever else has Alembic's table of versions.
        experiments: how many.
        mlflow: the version of MLflow that it was last opened with, as far as that can be told.
    """

    tables: set[str]
    revision: str | None
    experiments: int = 0
    mlflow: str | None = None

    @property
    def is_current(self) -> bool:
        """Whether this MLflow opens it as it is."""
        return self.revision == _scripts().get_current_head() and self.tables >= OF_MLFLOW

    @property
    def is_unfinished(self) -> bool:
        """Whether its tables are being made, or whoever made them was killed: nothing was put into them yet."""
        of_mlflow = not self.tables - {"alembic_version"} or self.tables >= OF_MLFLOW
        return of_mlflow and not self.is_current and _is_known(self.revision) and not self.experiments


def is_database(uri: str) -> bool:
    """Whether a tracking URI is that of a database."""
    return uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES


def prepare_database(uri: str, *, make: bool = True) -> None:
    """Make a new database whole, and see that one that is there can be opened without changing it.

    Args:
        uri: of the database.
        make: make a file that is not there; whoever only reads would find nothing in it.

    Raises:
        TrackingError: it is another program's, another MLflow's, or one whose making was cut short; or it is not there
            and is not to be made.
        SQLAlchemyError, OSError: it cannot be opened or made.
    """
    url = make_url(uri)
    path = _file(url)
    if path is None and url.get_backend_name() == "sqlite":  # in memory
        return
    if path is not None and _is_new(path):
        if not make:
            raise TrackingError(
                f"there is no {path}, so no run is tracked there. Go to the folder in which you trained, or name the "
                "place with --tracking-uri or MLFLOW_TRACKING_URI"
            )
        _make_file(url, path)
        return
    with _connected(url) as connection:
        contents = _read(connection)
        if path is None and not contents.is_current and _is_known(contents.revision) and not contents.experiments:
            contents = _make_tables(uri, connection)
    until = time.monotonic() + BUSY_SECONDS
    while path is not None and contents.is_unfinished and _is_recent(path) and time.monotonic() < until:
        time.sleep(0.2)
        with _connected(url) as connection:
            contents = _read(connection)
    _check(uri, path, contents)


def _file(url: URL) -> Path | None:
    """Of an sqlite database; ``None``: it lies in memory, or is no file."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":memory:", "file:")):
        return None
    return Path(url.database)


def _is_new(path: Path) -> bool:
    """Whether there is no file, or an empty one that no other program has just begun."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    return status.st_size == 0 and not _is_recent(path)


def _is_recent(path: Path) -> bool:
    """Whether a file was written to just now: another program may be about to make the database."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < BUSY_SECONDS
    return False


def _make_file(url: URL, path: Path) -> None:
    """A new file has its name when it is whole, so one that is killed leaves none; of several at once, one makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.absolute()  # MLflow keeps what it has opened by its name, for as long as this process lives
    making, lock = path.with_name(f"{path.name}.making"), path.with_name(f"{path.name}.making.lock")
    lock.touch()  # where that cannot be done, the lock would be tried for ever
    with FileLock(lock):
        if _is_new(path):
            for leftover in (making, path.with_name(f"{making.name}-journal")):
                leftover.unlink(missing_ok=True)
            store = SqlAlchemyStore(
                url.set(database=str(making)).render_as_string(hide_password=False),
                DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH,
            )
            store.engine.dispose()
            _give_name(making, path)
        lock.unlink(missing_ok=True)  # whoever waits for it, or makes it again, finds the file whole


def _give_name(making: Path, path: Path) -> None:
    """Rename a file, but not over one that another program has made meanwhile."""
    with suppress(OSError):
        if path.exists() and path.stat().st_size == 0:
            path.unlink()
    try:
        os.link(making, path)
    except FileExistsError:
        pass
    except OSError:  # this file system has no links
        if not path.exists():
            making.rename(path)
    making.unlink(missing_ok=True)


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    """A connection of our own: MLflow would try ten times, for minutes, and write a traceback for each."""
    options = {
        "sqlite": {"timeout": BUSY_SECONDS},
        "postgresql": {"connect_timeout": CONNECT_SECONDS},
        "mysql": {"connect_timeout": CONNECT_SECONDS},
    }.get(url.get_backend_name(), {})
    engine = sqlalchemy.create_engine(url, connect_args=options, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _read(connection: Connection) -> Contents:
    tables = set(sqlalchemy.inspect(connection).get_table_names())

    def rows(table: str, query: str) -> list[str]:
        return [str(row) for row in connection.execute(text(query)).scalars()] if table in tables else []

    revision = next(iter(rows("alembic_version", "SELECT version_num FROM alembic_version")), None)
    contents = Contents(tables, revision)
    if contents.is_current:
        return contents  # as nearly always: what follows is for the words of a refusal
    experiments = rows("experiments", "SELECT COUNT(*) FROM experiments")
    used = rows("tags", "SELECT DISTINCT value FROM tags WHERE key = 'version.mlflow'")
    told = HEADS.get(revision or "") or max(used, key=_version, default=None)
    return Contents(tables, revision, int(experiments[0]) if experiments else 0, told)


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:  # anybody may write a tag
        return Version("0")


def _make_tables(uri: str, connection: Connection) -> Contents:
    """The tables of a new database of a server, by one process at a time; what was cut short before is gone on with."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_lock({MAKING})"))  # it ends with the connection
    if not (there := _read(connection)).is_current and not there.experiments:
        SqlAlchemyStore(uri, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        connection.rollback()
        there = _read(connection)
    return there


@cache
def _scripts() -> ScriptDirectory:
    """The changes of tables that this MLflow knows, from its first version on."""
    return ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))


def _is_known(revision: str | None) -> bool:
    if revision is None:
        return True
    try:
        return _scripts().get_revision(revision) is not None
    except CommandError:
        return False


def _check(uri: str, path: Path | None, contents: Contents) -> None:
    if contents.is_current:
        return
    shown, head, here = redact(uri), _scripts().get_current_head(), mlflow.__version__
    another = "name another database with --tracking-uri"
    if contents.tables >= OF_OPTUNA and not (contents.experiments and _is_known(contents.revision)):
        raise TrackingError(
            f"{shown} is a database of Optuna's studies. One database cannot hold both: each keeps the version of its "
            f"tables in the same place. Nothing was changed; {another}"
        )
    if not contents.tables >= OF_MLFLOW:
        there = ", ".join(sorted(contents.tables)[:5]) or "none"
        raise TrackingError(
            f"{shown} is not a database of MLflow's (its tables: {there}). Nothing was changed; {another}"
        )
    by = f"MLflow {contents.mlflow}" if contents.mlflow else None
    if not _is_known(contents.revision):
        raise TrackingError(
            f"{shown} was changed by {by or 'a newer MLflow'}, to tables of version {contents.revision}. This is "
            f"MLflow {here}, which knows them up to {head}. Install the newer MLflow here, or {another}; nothing was "
            "changed"
        )
    if contents.is_unfinished:
        assert path is not None  # in a database of a server, the tables were made just now
        raise TrackingError(
            f"{shown} is broken: whoever was making it was killed half-way, and nothing is in it yet. Move it out of "
            f"the way, and a new one is made: mv {shlex.quote(str(path))} {shlex.quote(f'{path}.broken')}"
        )
    copy = f"cp {shlex.quote(str(path))} {shlex.quote(f'{path}.before')}; " if path else ""
    raise TrackingError(
        f"{shown} was made by {by or 'an older MLflow'}, with tables of version {contents.revision}. This is MLflow "
        f"{here}, which would change them to {head}; after that no older MLflow opens them. To have it done, once: "
        f"{copy}mlflow db upgrade {shlex.quote(shown)}. Or install the older MLflow here; nothing was changed"
    )
