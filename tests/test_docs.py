"""The documentation says what is there."""

import re
from pathlib import Path

from kmnist.cli.main import app
from tests.pages import PAGES

ROOT = Path(__file__).parent.parent
TEXTS = {page.relative_to(ROOT): page.read_text() for page in PAGES}
ARCHITECTURE = Path("docs/explanation/architecture.md")


def test_every_room_is_in_the_architecture_section() -> None:
    inside = [path for path in (ROOT / "kmnist").iterdir() if not path.name.startswith("_")]
    rooms = [path for path in inside if path.is_dir() or path.suffix == ".py"]
    missing = [path.name for path in rooms if f"`{path.name}{'/' if path.is_dir() else ''}`" not in TEXTS[ARCHITECTURE]]
    assert not missing


def test_every_command_is_told_of() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert not commands - set(re.findall(r"kmnist ([a-z]+)", "\n".join(TEXTS.values())))


def test_every_link_and_file_is_there() -> None:
    """Headings are looked for by Sphinx."""
    for page, text in TEXTS.items():
        for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text):
            assert (ROOT / page.parent / target).exists() or Path(target).stem in ("commands", "settings", "record"), (
                target
            )
        for target in re.findall(r"experiments/(?:studies/)?[a-z_]+\.yaml", text):
            assert (ROOT / target).exists(), target


def test_the_readme_stays_short() -> None:
    assert TEXTS[Path("README.md")].count("\n") <= 150


def test_nothing_is_left_to_fill_in() -> None:
    for page, text in TEXTS.items():
        assert "@@" not in text, page
        assert "TODO" not in text, page
