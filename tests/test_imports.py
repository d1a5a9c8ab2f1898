"""Importing a room changes nothing: no environment variable, logger, tracking address or random number."""

import subprocess
import sys

import pytest

SCRIPT = """
import importlib, logging, os, pkgutil, random, sys
import alembic, mlflow, mlflow.pyfunc, mlflow.pytorch, numpy, optuna, rich.style, torch  # what they do is theirs
import mlflow.store.db.utils

def state():
    names = ("", "alembic", "kmnist", "mlflow", "mlflow.store.db.utils", "optuna")
    loggers = {name: logging.getLogger(name).level for name in names}
    return (dict(os.environ), loggers, optuna.logging.get_verbosity(), mlflow.get_tracking_uri(), torch.initial_seed(),
            torch.get_num_threads(), torch.get_default_dtype(), numpy.random.get_state()[1].tolist(), random.getstate())

before = state()
import kmnist
rooms = [found.name for found in pkgutil.walk_packages(kmnist.__path__, "kmnist.") if found.name != "kmnist.__main__"]
assert len(rooms) > 100
for name in rooms:
    importlib.import_module(name)
for was, now in zip(before, state()):
    assert was == now, (was, now)
"""


#: What a worker does first, in a process that has imported what the server that it is forked from has.
FORKED = """
import importlib, sys, threading
from kmnist.jobs.forkserver import DATABASE, IMPORTED
for name in [*IMPORTED, *DATABASE]:
    importlib.import_module(name)
assert threading.active_count() == 1  # a fork would lose others in mid-work
before = set(sys.modules)
from kmnist.tracking import connect
connect(sys.argv[1])
late = [name for name in sys.modules if name not in before]
heavy = [name for name in late if name.startswith(("alembic.ddl", "mlflow.store.tracking.db", "sqlalchemy.orm"))]
assert len(late) < 100 and not heavy, (len(late), heavy)
"""


#: Until the server has begun to import, the command has imported nothing that takes seconds.
BEGUN = """
import sys
from kmnist.cli.engine import EngineOptions
from kmnist.jobs import forkserver
def begun(): assert not {"mlflow", "optuna", "pandas", "torch"} & set(sys.modules); print("begun")
forkserver.ensure_running = begun
EngineOptions().begin("http://127.0.0.1:1")
"""


def test_the_server_of_workers_imports_beside_its_command() -> None:
    done = subprocess.run([sys.executable, "-c", BEGUN], capture_output=True, text=True)
    assert done.stdout == "begun\n", done.stderr


@pytest.mark.long
def test_a_worker_imports_no_database_at_its_start(store: str) -> None:
    subprocess.run([sys.executable, "-c", FORKED, store], check=True)


@pytest.mark.long
def test_importing_every_room_changes_nothing() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
