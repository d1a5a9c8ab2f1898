"""A real ``mlflow server`` on loopback that can be killed, frozen and started again over the same folder."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

START_SECONDS = 120.0


class MlflowServer:
    """An ``mlflow server`` in a process group of its own; it keeps its address over a restart.

    Args:
        folder: For its database, artifacts and log. It is made if it is not there.

    Attributes:
        url: Its address, on a free port of 127.0.0.1.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the server printed."""
        return self.folder / "server.log"

    def start(self) -> None:
        """Start it, and return once it answers.

        Raises:
            RuntimeError: it ended, or did not answer within two minutes; with the end of its log.
        """
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it, and return at once."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}", "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # processes that tracking has no use for
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )

    def wait(self) -> None:
        """Return once it answers; raises as ``start`` does."""
        assert self._process is not None, "start it first"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"mlflow server does not answer at {self.url}:\n{self.log.read_text()[-3000:]}")

    def kill(self) -> None:
        """End it by SIGKILL, whatever it does; nothing happens if it does not run."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it by SIGSTOP: it takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
