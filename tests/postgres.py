"""A real PostgreSQL on loopback, for tests; it ends with them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers import free_port

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


def find_programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``: on the path, or where Debian puts it."""
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else (PROGRAMS[-1] if PROGRAMS else None)


def user_to_run_as() -> str | None:
    """PostgreSQL refuses to run as root; ``None`` if we are not."""
    return "postgres" if os.geteuid() == 0 else None


def can_run() -> bool:
    """Whether there is a PostgreSQL, and a user to run it as."""
    names = {user.pw_name for user in pwd.getpwall()}
    return find_programs() is not None and user_to_run_as() in (None, *names)


class Postgres:
    """A server with a cluster of its own, that can be stopped and started again."""

    def __init__(self, address: str = "127.0.0.1", port: int | None = None, password: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kmnist-postgres-"))
        self.address = address
        self.port = port or free_port()
        self._user = user_to_run_as()
        self._password = password
        method = ["trust"]
        if password is not None:
            (self.folder / "password").write_text(password)
            method = ["scram-sha-256", "--pwfile", str(self.folder / "password")]
        if self._user:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--pgdata", "data", "--username", "kmnist", "--no-sync", "--auth", *method)

    def start(self) -> None:
        place = f"-c port={self.port} -c listen_addresses={self.address} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "--pgdata", "data", "--log", "log", "--wait", "--options", f"{place} -c fsync=off", "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "--pgdata", "data", "--wait", "--mode", mode, "stop")

    def kill(self) -> None:
        """As in a crash: connections break, and it recovers when it is started again."""
        self.stop("immediate")

    def create_database(self, name: str) -> str:
        """A new, empty database; gives its address."""
        server = f"postgresql://kmnist@{self.address}:{self.port}"
        with psycopg.connect(f"{server}/postgres", password=self._password, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"{server}/{name}"

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        folder = find_programs()
        assert folder is not None
        command: Sequence[str] = [str(folder / program), *arguments]
        if self._user:
            command = ["runuser", "-u", self._user, "--", *command]
        # Its output goes to a file: the server would keep a pipe open for as long as it lives.
        with (self.folder / "commands.log").open("ab") as log:
            done = subprocess.run(command, cwd=self.folder, stdout=log, stderr=log, timeout=60, check=False)
        assert done.returncode == 0, (self.folder / "commands.log").read_text()[-2000:]
