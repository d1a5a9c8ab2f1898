"""A plain installation loads and predicts; what needs more says which extra brings it."""

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image, ImageDraw

from tests.installations import ROOT, distributions, make_installation, run_python

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_installation(tmp_path_factory.mktemp("plain"))


def run(plain: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(plain, folder, "-m", "kmnist", *arguments)


def test_what_is_installed_is_what_is_here() -> None:
    """The other tests here read the installed package's metadata."""
    provided = metadata.metadata("kmnist").get_all("Provides-Extra") or []
    needed = {Requirement(text).name for text in metadata.requires("kmnist") or () if "extra ==" not in text}
    told = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert (set(provided), needed) == (set(EXTRAS), told), "pyproject.toml has changed: pip install --no-deps -e ."


def test_all_is_all() -> None:
    [everything] = EXTRAS["all"]
    assert Requirement(everything).extras == set(EXTRAS) - {"all"}


@pytest.mark.long
def test_a_plain_installation_predicts(plain: Path, saved: Path, tmp_path: Path) -> None:
    picture = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(picture).line((20, 20, 70, 80), fill=0, width=8)
    picture.save(tmp_path / "a.png")
    done = run(plain, tmp_path, "predict", "a.png", "--format", "json", "--model", str(saved))
    assert (done.returncode, done.stderr) == (0, "")
    assert '"kana"' in done.stdout
    done = run(plain, tmp_path, "models")
    assert (done.returncode, "no run is tracked there" in done.stderr) == (1, True), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("train", "train"),
        ("train", "evaluate model pictures"),
        ("train", "promote 1"),
        ("train", "serve"),
        ("tune", "tune"),
        ("tune", "studies"),
        ("report", "report"),
        ("demo", "demo"),
        ("parquet", "predict a.png --out answers.csv"),
    ],
)
def test_a_command_says_which_extra_it_needs(extra: str, command: str, plain: Path, tmp_path: Path) -> None:
    done = run(plain, tmp_path, *command.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith(f"pip install 'kmnist[{extra}]'\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_clone_in_the_current_folder_is_not_taken_for_the_package(tmp_path: Path) -> None:
    """Python takes any folder of that name for a package of its own where it finds nothing better."""
    (tmp_path / "kmnist").symlink_to(ROOT)
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", "import kmnist; print(kmnist.__file__)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("/kmnist/__init__.py\n"), "installed before pyproject.toml said package-dir"


def test_the_exact_versions_name_no_host_and_no_build() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        requirement = Requirement(line)
        assert (requirement.url, requirement.marker, "+" in str(requirement.specifier)) == (None, None, False)
    pinned = {canonicalize_name(Requirement(line).name) for line in lines}
    needed = {canonicalize_name(name) for name in distributions() - {"kmnist"}}
    assert {name for name in needed if not name.startswith(("cuda", "nvidia", "triton"))} <= pinned  # as torch has them
