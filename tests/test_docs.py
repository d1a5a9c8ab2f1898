"""The README says what is there."""

import re
from pathlib import Path

from kmnist.cli.main import app
from kmnist.config import TrainConfig
from kmnist.models.families import FAMILIES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_room_is_in_the_architecture_section() -> None:
    rooms = [path for path in (ROOT / "kmnist").iterdir() if not path.name.startswith("_")]
    missing = [path.name for path in rooms if f"`{path.name}{'/' if path.is_dir() else ''}`" not in README]
    assert not missing


def test_every_command_is_there_and_every_command_there_exists() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert set(re.findall(r"`?kmnist ([a-z]+)", README)) & commands == commands
    for flag in re.findall(r"kmnist train [^`\n]*?--([a-z-]+)", README):
        known = {name.replace("_", "-") for arch in FAMILIES for name in TrainConfig.fields(arch)}
        assert flag in known | {"help", "experiment", "resume", "seeds", "tag", "note"}, flag


def test_every_picture_and_file_that_it_names_is_there() -> None:
    named = re.findall(r"\]\((?!http)([^)#]+)\)|(experiments/[a-z_]+\.yaml)", README)
    assert named
    for path in (first or second for first, second in named):
        assert (ROOT / path).exists(), path


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README
    assert "TODO" not in README
