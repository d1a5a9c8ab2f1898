"""Every command and snippet of the README and the documentation, as typed: page by page, in a real shell."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from cyclopts import CycloptsError, MissingArgumentError

from kmnist.cli.main import app
from tests.pages import NOT_RUN, PAGES, README, ROOT, TUTORIAL, agrees, begins_after_tutorial, commands, fill, run_page
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
    if begins_after_tutorial(page):
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
            _parse(shlex.split(command)[1:])
        except MissingArgumentError:  # the command's name, in running text
            assert "--" not in command, command
        except (CycloptsError, ValueError) as error:
            pytest.fail(f"{command}: {error}")


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "measured"], ids=_name)  # by benchmarks
def test_options_in_tables_are_those_of_a_command(page: Path) -> None:
    """A table tells an option without the command that its page is about."""
    names = [name for name in app if not name.startswith("-")]
    ours = [[name] for name in names] + [[name, inner] for name in names for inner in app[name]]
    for options in _alone(page.read_text()):
        assert any(_is_known([*words, *shlex.split(options)]) for words in ours), options


def _is_known(words: list[str]) -> bool:
    try:
        _parse(words)
    except MissingArgumentError:  # of the command, or the option's own value: neither is told
        return True
    except (CycloptsError, ValueError):
        return False
    return True


def _parse(words: list[str]) -> None:
    _, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    for name in bound.arguments.get("pictures", ()):  # to which any word goes; the command looks at them
        if name.startswith("--"):
            raise ValueError(f"unknown option {name}")


def _alone(text: str) -> list[str]:
    """What is told so in tables, but for rows about other programs."""
    rows = [row for row in re.sub(r"```.*?```", "", text, flags=re.S).splitlines() if row.startswith("|")]
    ours = [row for row in rows if not re.search(r"`[^`]*(docker|pip|python -m) ", row)]
    return [cell for row in ours for cell in re.findall(r"`(--[^`]+)`", row)]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_modules_and_entry_points_that_are_told_are_there(page: Path) -> None:
    text = page.read_text()
    for module in re.findall(r"python -m (experiments[.\w]*\w)", text):
        assert find_spec(module), module
    entries = yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]
    for command in re.findall(r"mlflow run \. [^`\n|]*", text):
        entry = re.search(r"(?:-e|--entry-point)[ =](\w+)", command)
        assert (entry[1] if entry else "main") in entries, command


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


def test_what_the_readme_does_not_run_is_in_it_and_has_a_reason() -> None:
    text = README.read_text()
    assert "<!--" not in text  # people read the file as it is
    for beginning, reason in NOT_RUN.items():
        assert f"```console\n{beginning}" in text, beginning
        assert len(reason) > 10


def test_what_is_promised_is_compared() -> None:
    assert agrees(["epoch ...: 9...%", "...", "done"], "epoch 1: 93%\na\nb\ndone\n")
    assert agrees(["...", "done"], "done")
    assert not agrees(["epoch ...: 9...%", "...", "done"], "epoch 1: 83%\ndone\n")
    assert not agrees(["done"], "done\nand more")
    assert list(commands("$ a \\\n  b\nc\n$ d")) == [("a \\\n  b", ["c"]), ("d", [])]


def _require_data() -> None:
    if not os.environ.get("KMNIST_DATA_DIR"):
        pytest.skip("needs the real data: set KMNIST_DATA_DIR to the folder of the four Kuzushiji-MNIST files")
