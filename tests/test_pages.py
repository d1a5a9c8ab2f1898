"""Every command and snippet of the README and the documentation, as typed: page by page, in a real shell."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError, MissingArgumentError

from kmnist.cli.main import app
from tests.pages import AFTER_TUTORIAL, PAGES, ROOT, TUTORIAL, agrees, commands, fill, run_page
from tests.warm import Warm

WORD = re.compile(r"(?:[A-Z_]+=\S+ )*(kmnist [^`|;<>&]+)")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _has_examples(page: Path) -> bool:
    return re.search(r"^```(console|python)$", page.read_text(), re.MULTILINE) is not None


@pytest.fixture(scope="module")
def after_tutorial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the tutorial leaves."""
    _require_data()
    folder = tmp_path_factory.mktemp("tutorial")
    fill(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run_page(TUTORIAL, folder)
    return folder


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a ``kmnist`` that starts at once; the tutorial is run with the one that is installed."""
    with Warm(tmp_path_factory.mktemp("warm")) as programs:
        yield programs.folder


@pytest.mark.long
@pytest.mark.timeout(900)  # the machine may have other work
@pytest.mark.parametrize("page", [page for page in PAGES if _has_examples(page)], ids=_name)
def test_page(
    page: Path, warm: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kmnist"
    if page == TUTORIAL or AFTER_TUTORIAL in page.read_text():
        shutil.copytree(request.getfixturevalue("after_tutorial"), folder)
        if page == TUTORIAL:
            return
    else:
        folder.mkdir()
        fill(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_page(page, folder, warm)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_is_one_that_the_program_knows(page: Path) -> None:
    """Those in running text and in tables, too, and those that cannot be run here."""
    for command in _commands_of_ours(page.read_text()):
        try:
            app.parse_args(shlex.split(command)[1:], print_error=False, exit_on_error=False)
        except MissingArgumentError:  # the command's name, in running text
            assert "--" not in command, command
        except CycloptsError as error:
            pytest.fail(f"{command}: {error}")


def _commands_of_ours(text: str) -> list[str]:
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.S)
    typed = [command for kind, block in blocks if kind == "console" for command, _ in commands(block)]
    typed += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    files = " ".join(block.replace("\\\n", " ") for kind, block in blocks if kind in ("bash", "yaml"))
    found = [match[1] for command in typed if (match := WORD.match(command.partition(" #")[0]))]
    return [*found, *re.findall(r"kmnist \w+(?:\s+--[\w-]+\s+[^\s&]+)+", files)]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_what_is_not_run_has_a_reason(page: Path) -> None:
    for skipped in re.findall(r"<!-- skip: (.*?)-->", page.read_text()):
        assert re.fullmatch(r'next ".{10,}" ', skipped), skipped


def test_what_is_promised_is_compared() -> None:
    assert agrees(["epoch ...: 9...%", "...", "done"], "epoch 1: 93%\na\nb\ndone\n")
    assert agrees(["...", "done"], "done")
    assert not agrees(["epoch ...: 9...%", "...", "done"], "epoch 1: 83%\ndone\n")
    assert not agrees(["done"], "done\nand more")
    assert list(commands("$ a \\\n  b\nc\n$ d")) == [("a \\\n  b", ["c"]), ("d", [])]


def _require_data() -> None:
    if not os.environ.get("KMNIST_DATA_DIR"):
        pytest.skip("needs the real data: set KMNIST_DATA_DIR to the folder of the four Kuzushiji-MNIST files")
