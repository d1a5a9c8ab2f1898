"""Executes a program that logs to MLflow while its server goes away, and sends what the program left."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: A line that a program prints where something may be done to its server.
MARK = "halfway"
_OF_THE_CALLER = ("MLFLOW_", "DATABRICKS_")


@dataclass(frozen=True)
class Program:
    """A program under test.

    Attributes:
        name: For its experiments.
        command: What is executed; ``python`` stands for this interpreter.
        varying: Regular expression for names (of metrics, parameters, tags, files) whose values differ each time.
        uncounted: The same for metrics whose number of points differs, too.
        environment: Variables that it needs.
    """

    name: str
    command: Sequence[str]
    varying: str = r"(?!)"
    uncounted: str = r"(?!)"
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a program ended: exit status, what it printed, its seconds, and when it ended (milliseconds since 1970)."""

    status: int
    printed: str
    seconds: float
    ended_ms: int


def execute(
    program: Program,
    url: str,
    experiment: str,
    folder: Path,
    journal: Path | None = None,
    at_mark: Callable[[], None] | None = None,
    **environment: str,
) -> Outcome:
    """Execute a program to its end in ``folder``.

    Args:
        program: The program.
        url: Its tracking server.
        experiment: The name of its experiment there.
        folder: Where it is executed. It is made if it is not there.
        journal: Folder of the journal, or none: then MLflow's own client is used.
        at_mark: Called when it prints the first line that begins with ``halfway``, in a thread beside it.
        environment: More variables.
    """
    process, _ = begin(program, url, experiment, folder, journal, **environment)
    assert process.stdout is not None
    began, printed, called = time.monotonic(), list[str](), list[threading.Thread]()
    with process:
        for line in process.stdout:
            printed.append(line)
            if at_mark is not None and not called and line.startswith(MARK):
                called.append(threading.Thread(target=at_mark))
                called[0].start()
    status = process.returncode
    ended = int(time.time() * 1000)
    for thread in called:
        thread.join()
    return Outcome(status, "".join(printed), time.monotonic() - began, ended)


def begin(
    program: Program, url: str, experiment: str, folder: Path, journal: Path | None = None, **environment: str
) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start a program; gives its process, with what it prints as a pipe, and its environment."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        **plain_environment(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "MLFLOW_TRACKING_URI": url,
        "MLFLOW_EXPERIMENT_NAME": experiment,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",  # then a model gets its usual ones, in a tenth of the time
        "GIT_PYTHON_REFRESH": "quiet",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",  # sets in a pickle keep their order, so that files can be compared
        "PYTHONUNBUFFERED": "1",
        **({"MLFLOW_JOURNAL_DIR": str(journal)} if journal else {}),
        **program.environment,
        **environment,
    }
    command = [sys.executable if word == "python" else word for word in program.command]
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process, variables


def plain_environment() -> dict[str, str]:
    """This process's variables without those that speak to MLflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_CALLER)}


def sync(journal: Path, url: str) -> subprocess.CompletedProcess[str]:
    """``mlflow-journal sync``: send what is left in the journals below a folder to their servers."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("mlflow-journal")), "sync"],
        env={**plain_environment(), "MLFLOW_JOURNAL_DIR": str(journal), "MLFLOW_TRACKING_URI": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
