"""The database behind a tracking store: made whole, and never changed unasked."""

import multiprocessing
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import mlflow
import optuna
import psycopg
import pytest
import sqlalchemy
from alembic import command
from alembic.config import Config
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.initial_models import Base as FirstTables

from kmnist.errors import TrackingError
from kmnist.tracking import connect, create_run, database
from tests.postgres import Postgres

MIGRATIONS = Path(mlflow.__file__).parent / "store" / "db_migrations"


@pytest.fixture(autouse=True)
def _in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def made_up_to(path: Path, revision: str) -> str:
    """A database as MLflow leaves it that is killed after so many changes of its tables."""
    uri = f"sqlite:///{path}"
    engine = sqlalchemy.create_engine(uri)
    FirstTables.metadata.create_all(engine)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    return uri


def before_head(changes: int) -> str:
    """The revision so many changes before that of this MLflow."""
    return [str(found.revision) for found in database._scripts().walk_revisions()][changes]


def is_old(path: Path) -> None:
    """Nobody can be about to make it: it was not written to for long."""
    long_ago = time.time() - 10 * database.BUSY_SECONDS
    os.utime(path, (long_ago, long_ago))


def new_database(postgres: Postgres, name: str) -> str:
    """The tracking URI of an empty database of a server."""
    return postgres.create_database(name).replace("postgresql:", "postgresql+psycopg:")


def advice(error: pytest.ExceptionInfo[TrackingError], first: str, end: str) -> list[list[str]]:
    """The commands that a message names."""
    text = str(error.value)
    return [shlex.split(part) for part in text[text.index(first) :].partition(end)[0].split("; ")]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes of their own, that need not import everything anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kmnist.tracking"])
    return context


@pytest.mark.slow
def test_first_commands_at_once_make_one_database(tmp_path: Path, processes: ForkServerContext) -> None:
    uri = f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"
    at_once = [processes.Process(target=connect, args=(uri,)) for _ in range(3)]
    for process in at_once:
        process.start()
    for process in at_once:
        process.join()
    assert [process.exitcode for process in at_once] == [0, 0, 0]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mlflow.db"]
    assert [found.name for found in connect(uri).search_experiments()] == ["Default"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 300_000])
def test_one_that_is_killed_while_it_makes_the_database_is_in_nobodys_way(
    tmp_path: Path, size: int, processes: ForkServerContext
) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = processes.Process(target=connect, args=(uri,))
    process.start()
    making = tmp_path / "mlflow.db.making"
    while not (making.exists() and making.stat().st_size >= size):
        assert process.is_alive()
    process.kill()
    process.join()
    assert not (tmp_path / "mlflow.db").exists()
    create_run(connect(uri), "e", "a run")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_file_that_another_program_made_meanwhile_is_kept(tmp_path: Path, template_store: Path) -> None:
    making, path = tmp_path / "mlflow.db.making", tmp_path / "mlflow.db"
    making.write_bytes(b"ours")
    path.write_bytes(b"another's")
    database._give_name(making, path)
    assert (path.read_bytes(), making.exists()) == (b"another's", False)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    is_old(tmp_path / "mlflow.db")
    assert connect("sqlite:///mlflow.db").search_experiments()


def test_one_that_another_program_is_making_is_waited_for(tmp_path: Path, template_store: Path) -> None:
    path = tmp_path / "mlflow.db"
    uri = made_up_to(path, before_head(20))

    def finish() -> None:
        time.sleep(0.5)
        with closing(sqlite3.connect(template_store)) as whole, closing(sqlite3.connect(path)) as unfinished:
            whole.backup(unfinished)

    thread = threading.Thread(target=finish)
    thread.start()
    assert connect(uri).search_experiments()
    thread.join()


def test_a_broken_one_is_said_to_be_with_a_way_out_that_is_one(tmp_path: Path) -> None:
    path = tmp_path / "my data.db"
    uri = made_up_to(path, before_head(20))
    is_old(path)
    with pytest.raises(TrackingError, match=r"is broken.*nothing is in it yet.*mv ") as refused:
        connect(uri)
    assert "Start the server" not in str(refused.value)
    for words in advice(refused, "mv ", "\n"):
        subprocess.run(words, check=True)
    assert connect(uri).search_experiments()


@pytest.mark.slow
def test_one_of_an_older_mlflow_is_not_changed_unasked(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    uri = made_up_to(path, before_head(3))
    with closing(sqlite3.connect(path)) as there, there:
        there.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES ('e', 'active')")
        there.execute("INSERT INTO runs (run_uuid, experiment_id) VALUES ('r', 1)")
        there.execute("INSERT INTO tags (key, value, run_uuid) VALUES ('version.mlflow', '3.9.1', 'r')")
    before = path.read_bytes()
    with pytest.raises(TrackingError, match=rf"made by MLflow 3\.9\.1.*This is MLflow {mlflow.__version__}") as refused:
        connect(uri)
    assert path.read_bytes() == before
    copy, upgrade = advice(refused, "cp ", ". Or ")
    subprocess.run(copy, check=True)
    subprocess.run([sys.executable, "-m", *upgrade], check=True, stderr=subprocess.DEVNULL)
    assert "e" in [found.name for found in connect(uri).search_experiments()]
    assert (tmp_path / "mlflow.db.before").read_bytes() == before


def test_one_of_a_newer_mlflow_is_told_with_both_versions(store: str, tmp_path: Path) -> None:
    run = create_run(connect(store), "e", "a run")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as there, there:
        there.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        tag = "INSERT INTO tags (key, value, run_uuid) VALUES ('version.mlflow', '99.1.0', ?)"
        there.execute(tag, (run.info.run_id,))
    with pytest.raises(TrackingError, match=rf"by MLflow 99\.1\.0.*This is MLflow {mlflow.__version__}.*Install"):
        connect(store)


def test_one_of_optuna_is_refused_and_not_changed(tmp_path: Path) -> None:
    optuna.create_study(storage="sqlite:///studies.db")
    before = (tmp_path / "studies.db").read_bytes()
    with pytest.raises(TrackingError, match="is a database of Optuna's studies"):
        connect("sqlite:///studies.db")
    assert (tmp_path / "studies.db").read_bytes() == before


def test_what_is_no_database_of_mlflow_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE pictures (name TEXT)")
    with pytest.raises(TrackingError, match=r"is not a database of MLflow's \(its tables: pictures"):
        connect("sqlite:///other.db")
    (tmp_path / "text.db").write_text("this is no database, " * 10)
    with pytest.raises(TrackingError, match="file is not a database"):
        connect("sqlite:///text.db")
    with pytest.raises(TrackingError, match="cannot be used"):
        connect("sqlite:////proc/folder/mlflow.db")


@pytest.fixture
def locked(store: str, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Of another program, which has locked the database."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db", check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_one_that_is_locked_is_waited_for(store: str, locked: sqlite3.Connection) -> None:
    release = threading.Timer(1.0, locked.rollback)
    release.start()
    assert connect(store).search_experiments()
    release.join()


def test_one_that_stays_locked_is_told(store: str, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with pytest.raises(TrackingError, match="database is locked"):
        connect(store)


@pytest.mark.slow
def test_the_tables_of_a_database_server_are_made_by_one(postgres: Postgres) -> None:
    uri = new_database(postgres, "first_commands")
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: connect(uri).search_experiments(), range(3)))
    assert [[one.name for one in names] for names in found] == [["Default"]] * 3


@pytest.mark.slow
def test_tables_of_a_database_server_that_were_cut_short_are_completed(postgres: Postgres) -> None:
    uri = new_database(postgres, "cut_short")
    engine = sqlalchemy.create_engine(uri)
    FirstTables.metadata.create_all(engine)
    engine.dispose()
    assert MlflowClient(uri).tracking_uri == uri
    assert connect(uri).search_experiments()


@pytest.mark.slow
def test_a_database_server_with_optunas_studies_is_refused(postgres: Postgres) -> None:
    uri = new_database(postgres, "of_optuna")
    with psycopg.connect(uri.replace("+psycopg", ""), autocommit=True) as there:
        there.execute("CREATE TABLE studies (id int); CREATE TABLE trials (id int)")
        there.execute(
            "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('v3.2.0.a')"
        )
    with pytest.raises(TrackingError, match="is a database of Optuna's studies"):
        connect(uri)


@pytest.mark.slow
def test_names_fit_into_the_tables_of_a_database_server(postgres: Postgres, store: str) -> None:
    client = connect(new_database(postgres, "long_names"))
    long = "plain " + "-".join(["1024"] * 60)
    run = create_run(client, "e" * 256, long)
    assert (run.info.run_name, len(run.info.run_name)) == (f"{long[:249]}…", 250)
    made = client.create_run(run.info.experiment_id)  # as `mlflow run` makes one
    assert create_run(client, "e" * 256, long, made=made).info.run_name == run.info.run_name
    for where in (client, connect(store)):  # sqlite would take it
        with pytest.raises(TrackingError, match=r"a name of 257 characters, the limit is 256; name another"):
            create_run(where, "e" * 257, "a run")
