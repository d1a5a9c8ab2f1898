"""Runs a page of the documentation: types its commands into bash, and evaluates its Python, in the order of the page.

A block of commands (``console``) has a line ``$ command`` for each, and below it what it prints, if that is promised:
``...`` stands for anything. Every command must end with the exit status 0. Python that begins with
``# name.py`` is put into that file instead. Comments, which no reader sees, say more:

    <!-- skip: next "the reason" -->            the block that follows cannot be run in a test
    <!-- serves http://127.0.0.1:5001/ -->      its command stays; the page goes on when the address answers
    <!-- begins where the tutorial ends -->     the page is run in a copy of the folder that the tutorial leaves
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest import SkipTest

from PIL import Image, ImageOps
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser

from kmnist.data.sample import draw_dataset

ROOT = Path(__file__).parent.parent
GENERATED = {"commands.md", "public.md", "record.md", "settings.md"}
README, TUTORIAL = ROOT / "README.md", ROOT / "docs" / "tutorial.md"
_WRITTEN = (page for page in (ROOT / "docs").rglob("*.md") if page.name not in GENERATED and "_build" not in page.parts)
PAGES = [TUTORIAL, README, *sorted(set(_WRITTEN) - {TUTORIAL})]
AFTER_TUTORIAL = "<!-- begins where the tutorial ends -->"
#: The README has no comments for the tests. Its blocks that cannot run here, by how they begin, with the reason.
NOT_RUN = {
    "$ pip install 'mlflow>=3.17,<4' uv": "a network and minutes; the form with --env-manager=local is run",
    "$ python3.11 -m venv .venv": "a network, and the environment that the tests already have",
    "$ kmnist train --arch plain": "the tutorial, in whose folder this page is run, has typed the same",
}
FILE = re.compile(r"# (\w+\.py)\n")
SERVES = re.compile(r"<!-- serves (\S+) -->\s*\Z")
COMMAND_SECONDS = 240.0
SERVER_SECONDS = 90.0
WITHOUT = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "KMNIST_WORK_DIR", "KMNIST_STORAGE")


class Shell:
    """One bash, for the commands of one page.

    Args:
        folder: where it begins.
        programs: a folder of programs that are found before those that are installed.
    """

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        commands = os.pathsep.join(str(place) for place in (programs, Path(sys.executable).parent) if place)
        environment = {name: text for name, text in os.environ.items() if name not in WITHOUT}
        environment |= {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )

    def execute(self, command: str) -> tuple[int, str]:
        """Run a command to its end; gives its exit status and what it printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        mark = uuid.uuid4().hex
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n%s %s\\n' {mark} $?\n")
        self._bash.stdin.flush()
        printed = list[str]()
        clock = threading.Timer(COMMAND_SECONDS, self._signal, [signal.SIGKILL])
        clock.start()
        try:
            for line in self._bash.stdout:
                if line.startswith(mark):
                    return int(line.split()[1]), "".join(printed).removesuffix("\n")
                printed.append(line)
        finally:
            clock.cancel()
        raise AssertionError(f"$ {command}\nended the shell, or took {COMMAND_SECONDS:g} s:\n{''.join(printed)}")

    def serve(self, command: str, address: str) -> None:
        """Run a command beside those that follow, and wait until it answers."""
        self.execute(f"{command.partition(' #')[0]} > served.log 2>&1 &")
        deadline = time.monotonic() + SERVER_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(address, timeout=5):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.3)
        raise AssertionError(f"$ {command}\ndoes not answer at {address}:\n{self.execute('cat served.log')[1]}")

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._bash.wait(10)
        self._signal(signal.SIGKILL)
        self._bash.communicate()


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with the lines that it is promised to print."""
    command, promised = "", list[str]()
    for line in block.splitlines():
        if command.endswith("\\"):
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield command, promised
            command, promised = line[2:], []
        else:
            promised.append(line)
    yield command, promised


def agrees(promised: list[str], printed: str) -> bool:
    """Whether what was printed is what was promised."""
    lines = (
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(re.escape("..."), ".*?") + r"[ \t]*\n"
        for line in promised
    )
    return re.fullmatch("".join(lines) + r"\n*", printed.rstrip("\n") + "\n") is not None


def parse(page: Path, shell: Shell) -> Document:
    """A page with its examples, which are evaluated in ``shell`` and in this process."""

    def run(example: Example) -> None:
        if page == README and any(str(example.parsed).startswith(beginning) for beginning in NOT_RUN):
            return
        serves = SERVES.search(example.document.text[: example.start])
        for command, promised in commands(str(example.parsed)):
            if serves:
                shell.serve(command, serves[1])
                continue
            status, printed = shell.execute(command)
            where = f"{page.name}, line {example.line}: $ {command}\n"
            assert status == 0, f"{where}ended with status {status}:\n{printed}"
            expected = "\n".join(promised)
            assert not promised or agrees(promised, printed), f"{where}printed\n{printed}\nnot\n{expected}"

    python = PythonEvaluator()

    def evaluate(example: Example) -> None:
        if named := FILE.match(example.parsed):
            Path(named[1]).write_text(example.parsed)
        else:
            python(example)

    parsers = SkipParser(), CodeBlockParser("python", evaluate), CodeBlockParser("console", run)
    return Document.parse(str(page), *parsers)


def begins_after_tutorial(page: Path) -> bool:
    """Whether a page is run in a copy of the folder that the tutorial leaves."""
    return page in (TUTORIAL, README) or AFTER_TUTORIAL in page.read_text()


def run_page(page: Path, folder: Path, programs: Path | None = None) -> None:
    """Run all that can be run of a page in ``folder``, which must be this process's, too."""
    with Shell(folder, programs) as shell:
        for example in parse(page, shell).examples():
            with suppress(SkipTest):
                example.evaluate()


def fill(folder: Path) -> None:
    """Put there what the pages take for given: the clone's files of settings, and a few pictures."""
    for file in ("MLproject", "python_env.yaml", "pyproject.toml"):
        shutil.copy(ROOT / file, folder)
    shutil.copytree(ROOT / "experiments", folder / "experiments", ignore=_no_pictures)
    drawn = draw_dataset(train=10, test=20)
    (folder / "drawings").mkdir()
    for number, (pixels, label) in enumerate(zip(drawn.test.pixels, drawn.test.labels)):
        of_class = folder / "labelled" / str(label)
        of_class.mkdir(parents=True, exist_ok=True)
        small = ImageOps.expand(ImageOps.invert(Image.fromarray(pixels)), 6, 255)
        picture = small.resize((240, 240), Image.Resampling.BICUBIC)
        for path in (folder / "drawings" / f"{number:02}.png", of_class / f"{number}.png"):
            picture.save(path)
    picture.save(folder / "photo.png")
    picture.save(folder / "photo.jpg")


def _no_pictures(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if name in ("pictures", "report", "__pycache__")}
