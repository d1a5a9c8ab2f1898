"""``kmnist`` for tests that start it often: a program that hands its arguments, files, environment and signals over to
a process which has imported what takes seconds, and is forked for each command.
"""

import ast
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from kmnist.environment import set_environment

IMPORTED = (
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "mlflow.pyfunc", "mlflow.pytorch", "optuna", "pandas"),
    *("mlflow.store.tracking.sqlalchemy_store", "scipy.stats", "sklearn.metrics", "sklearn.model_selection"),
    *("torch._dynamo", "torch.export"),
)
#: It imports next to nothing itself; the process that is forked for it is killed when it is.
PROGRAM = """#!{python} -IS
import array, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
given = os.getcwd(), dict(os.environ), sys.argv[1:]
files = array.array("i", [0, 1, 2])
server.sendmsg([repr(given).encode() + b"\\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
answers = server.makefile()
process = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(process, number))
sys.exit(int(answers.readline()))
"""


class Warm:
    """Processes to come.

    Args:
        folder: where the program ``kmnist`` is put.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        address = str(folder / "socket")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(address)
        listening.listen()
        program = folder / "kmnist"
        program.write_text(PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o755)
        with listening:  # whoever comes before all is imported waits
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(listening.fileno())],
                stdin=subprocess.PIPE,  # ends when this process does, however that is
                pass_fds=[listening.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def _serve(listening: socket.socket) -> None:
    """Until standard input ends; in a process that was forked, until it is ready to be the command."""
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    running: dict[int, tuple[socket.socket, int]] = {}  # by the descriptor of each process
    while True:
        for key, _ in selector.select():
            if key.fileobj is listening:
                client = listening.accept()[0]
                given, files, *_ = socket.recv_fds(client, 1 << 20, 3)
                while not given.endswith(b"\n"):
                    given += client.recv(1 << 20)
                if (process := os.fork()) == 0:
                    selector.close()
                    for inherited in (listening, client, *(other for other, _ in running.values())):
                        inherited.close()
                    for ended in running:
                        os.close(ended)
                    return _become(given.decode(), files)
                for file in files:
                    os.close(file)
                _answer(client, process)
                ended = os.pidfd_open(process)
                running[ended] = client, process
                selector.register(ended, selectors.EVENT_READ)
                selector.register(client, selectors.EVENT_READ, ended)
            elif key.fileobj in running:
                client, process = running.pop(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                _answer(client, status if status >= 0 else 128 - status)
                with suppress(KeyError):
                    selector.unregister(client)
                client.close()
                selector.unregister(key.fd)
                os.close(key.fd)
            elif key.data in running:  # its program is gone
                _kill(running[key.data][1])
                selector.unregister(key.fileobj)
            elif key.fileobj is sys.stdin:
                for _, process in running.values():
                    _kill(process)
                os._exit(0)  # what was imported would take its time to end


def _answer(client: socket.socket, number: int) -> None:
    with suppress(OSError):  # its program may be gone
        client.sendall(f"{number}\n".encode())


def _kill(process: int) -> None:
    """And what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def _become(given: str, files: list[int]) -> None:
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    folder, environment, arguments = ast.literal_eval(given)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin = os.fdopen(0)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1) for number in (1, 2))
    sys.argv = ["kmnist", *arguments]
    sys.path[0] = str(Path(sys.executable).parent)


if __name__ == "__main__":
    set_environment()
    for name in IMPORTED:
        import_module(name)
    _serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("kmnist", run_name="__main__", alter_sys=True)
