"""``MLproject``, rendered from ``TrainConfig``: its parameters are the settings, with their defaults and meanings."""

import os
import signal
import textwrap
import threading
import time
from pathlib import Path

import psutil
import yaml

from kmnist import output
from kmnist.config import TrainConfig
from kmnist.settings import describe, to_text

LOOK_SECONDS = 0.5  # between two looks at whether mlflow run has ended
START = "KMNIST_UNDER_MLFLOW_RUN=1 exec python -m kmnist"
HEADER = """\
# The MLflow Project. Written by `kmnist mlproject` from the settings: change them there, not here.
"""


def render() -> str:
    """The text of the file ``MLproject``.

    The variable before ``exec`` tells the command who started it: see :func:`enter`.
    A parameter that is not declared is appended to the command by MLflow, as ``--name value``; so ``main`` takes the
    settings of one architecture, which the others would refuse (``-P hidden=512,256``), ``experiment`` any setting on
    top of its file, and ``tune`` tells what was given from what was not.
    """
    fields = TrainConfig.fields()
    flags = " ".join(f"--{name.replace('_', '-')} {{{name}}}" for name in fields)
    lines = [HEADER, "name: kmnist", "python_env: python_env.yaml", "", "entry_points:", "  main:", "    parameters:"]
    lines.append("      # and what its architecture has: -P hidden=512,256; see `kmnist train --arch NAME --help`")
    for name, field in fields.items():
        lines += textwrap.wrap(describe(field), 112, initial_indent=" " * 6 + "# ", subsequent_indent=" " * 6 + "# ")
        default = yaml.safe_dump(to_text(field.default), default_style='"', width=200).strip()
        lines.append(f"      {name}: {{type: string, default: {default}}}")
    lines += ["    command: >-", *_folded(f"{START} train {flags}")]
    lines += [
        "  experiment:",
        "    parameters:",
        "      # a file of settings; any setting can be given on top of it: -P epochs=3",
        "      experiment: {type: string}",
        "    command: >-",
        *_folded(f"{START} train --experiment {{experiment}}"),
        "  # A study. Nothing is declared, for a declared default would count as given: -P arch=plain -P trials=50",
        "  # -P study_file=experiments/studies/plain.yaml -P workers=2, and whatever `kmnist tune --help` shows.",
        "  tune:",
        "    command: >-",
        *_folded(f"{START} tune"),
        "  # An ensemble: -P kind=bag (or boost, stack) -P arch=cnn -P members=3, and whatever",
        "  # `kmnist ensemble bag --help` shows; of trained runs: -P kind=vote -P members=ID,ID",
        "  ensemble:",
        "    parameters:",
        "      kind: {type: string, default: bag}",
        "    command: >-",
        *_folded(f"{START} ensemble {{kind}}"),
        "  # A report of tracked runs: -P runs=ID,ID or -P experiment=NAME or -P study=NAME, -P out=report",
        "  report:",
        "    command: >-",
        *_folded(f"{START} report"),
    ]
    return "\n".join(lines) + "\n"


def _folded(command: str) -> list[str]:
    return textwrap.wrap(command, 112, initial_indent=" " * 6, subsequent_indent=" " * 6, break_on_hyphens=False)


def enter(words: list[str]) -> Path:
    """Under ``mlflow run``: work in the folder where it was typed, and end when it ends.

    MLflow starts a project's command in the project's folder, which is a temporary one if the project is the address
    of a git repository: what is written there is lost, and a relative address of a database names another one there. A
    signal that ends MLflow's process does not reach ours.

    Args:
        words: of the command line. A file of settings that is not in the folder, but in the project, is found there.

    Returns:
        The folder.
    """
    runner, project = psutil.Process(os.getppid()), Path.cwd()
    threading.Thread(target=_end_with, args=(runner,), name="kmnist-mlflow-run", daemon=True).start()
    # Workers are to run this project's code, too, and not what is installed, or lies in the folder.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    try:
        os.chdir(runner.cwd())
    except (psutil.Error, OSError):  # it may not be looked at: everything lies in the project, then
        return project
    for place, word in enumerate(words):
        if word.endswith((".yaml", ".yml")) and not Path(word).exists() and (project / word).exists():
            words[place] = str(project / word)
    return Path.cwd()


def _end_with(runner: psutil.Process) -> None:
    while os.getppid() == runner.pid:  # its end makes us another's child, even before anybody has asked how it ended
        time.sleep(LOOK_SECONDS)
    if not output.is_ending():  # a terminal tells all processes of Ctrl-C
        os.kill(os.getpid(), signal.SIGTERM)
