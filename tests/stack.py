"""The services of docker-compose.yml as processes of this machine, for tests where there is no container engine.

Command, environment and health check of a service are those of the file. What a container would give it is put in:
the stack has a loopback address of its own, where each service has the port that the file names, and a folder for
what would be the container's.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from tests.compose import ROOT, read_services
from tests.postgres import Postgres, find_programs

# The folders of a container that the file speaks of.
FOLDERS = re.compile(r"(?<![\w.])/(app|srv|tmp)(?=/)")


class Stack:
    """Services that were started, and those that can be."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        self.services = read_services(variables)
        self._places = {"app": ROOT, "srv": folder / "srv", "tmp": folder / "tmp"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for service in self.services.values():
            for volume in service.volumes:
                Path(self._here(f"{volume.split(':')[1]}/")).mkdir(parents=True, exist_ok=True)
        (folder / "tmp").mkdir()
        self.postgres = self._make_postgres()

    def url(self, service: str) -> str:
        """What a browser would open, if the service publishes a port."""
        [port] = self.services[service].ports
        return f"http://{self.address}:{port.rsplit(':')[-1]}"

    def start(self, name: str, *arguments: str, as_process: str | None = None) -> None:
        """Start a service; with ``arguments`` as ``docker compose run`` does."""
        process = as_process or name
        with self._log(process).open("wb") as log:
            self._processes[process] = subprocess.Popen(
                [*self.command(name), *arguments],
                env=self.environment(name),
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end_of(self, process: str, seconds: float = 90) -> tuple[int, str]:
        """The exit status and the output of a service that ends by itself."""
        return self._processes[process].wait(seconds), self._log(process).read_text()

    def said(self, process: str) -> str:
        """The output of a service so far."""
        return self._log(process).read_text()

    def run(self, name: str, *arguments: str) -> tuple[int, str]:
        """``docker compose run --rm``"""
        self.start(name, *arguments)
        return self.end_of(name)

    def is_healthy(self, name: str) -> bool:
        """What the service's health check says."""
        test = self.services[name].health
        assert test
        command = [self._here(word) for word in test]
        done = subprocess.run(command, env=self.environment(name), capture_output=True, timeout=20, check=False)
        return done.returncode == 0

    def wait_until_healthy(self, name: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_healthy(name):
            assert name not in self._processes or self._processes[name].poll() is None, self._log(name).read_text()
            assert time.monotonic() < deadline, self._log(name).read_text()
            time.sleep(0.2)

    def stop(self, name: str) -> int:
        """``docker compose stop``, to the end; gives the exit status."""
        process = self._processes.pop(name)
        process.terminate()
        status = process.wait(30)
        _end_group(process)
        return status

    def connect(self, database: str) -> "psycopg.Connection[tuple[Any, ...]]":
        """To look behind the services."""
        environment = self.environment("backup")
        return psycopg.connect(
            host=environment["PGHOST"],
            user=environment["PGUSER"],
            password=environment["PGPASSWORD"],
            dbname=database,
            autocommit=True,
        )

    def close(self) -> None:
        for process in self._processes.values():
            _end_group(process)
            process.wait()
        self.postgres.close()

    def command(self, name: str) -> list[str]:
        return [self._here(word) for word in self.services[name].command]

    def environment(self, name: str) -> dict[str, str]:
        """Nothing of ours is in it but what programs are found with."""
        given = {key: self._here(value) for key, value in self.services[name].environment.items()}
        if "PGHOST" in given:
            given["PGHOST"] = self.address
        programs = f"{Path(sys.executable).parent}:{find_programs()}:{os.environ['PATH']}"
        return {"PATH": programs, "HOME": str(self.folder / "tmp"), "OMP_NUM_THREADS": "1", **given}

    def _here(self, text: str) -> str:
        for name in self.services:
            text = text.replace(f"//{name}:", f"//{self.address}:")
        text = text.replace("0.0.0.0", self.address).replace("127.0.0.1", self.address)
        return FOLDERS.sub(lambda found: str(self._places[found[1]]), text)

    def _log(self, process: str) -> Path:
        return self.folder / f"{process}.log"

    def _make_postgres(self) -> Postgres:
        """What the image of PostgreSQL does with its environment and the file for its first start."""
        service = self.services["postgres"]
        server = Postgres(self.address, 5432, service.environment["POSTGRES_PASSWORD"])
        server.start()
        server.create_database(service.environment["POSTGRES_DB"])
        [script] = [volume.split(":")[0] for volume in service.volumes if "/docker-entrypoint-initdb.d/" in volume]
        environment = self.environment("backup")  # reaches the databases
        command = ["psql", "--dbname", service.environment["POSTGRES_DB"], "--file", str(ROOT / script)]
        subprocess.run(command, env=environment, capture_output=True, timeout=30, check=True)
        return server


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """What a container does when its first process ends: the others end, too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
