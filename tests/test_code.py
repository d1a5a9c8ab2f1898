"""What a run keeps of the code that made it."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from kmnist.tracking import code as ours


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a copy of the module that looks at the repository it is in."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    shutil.copy(ours.__file__, folder / "code.py")
    (folder / "train.py").write_bytes("epochs = 1  # とし\n\xe4\n".encode("latin-1", "replace"))
    (folder / ".env.local").write_text("KEY=1\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    return folder


def module_in(folder: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("code_of_another", folder / "code.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_patch_makes_of_the_commit_what_ran_and_tells_no_secret(repository: Path, tmp_path: Path) -> None:
    code = module_in(repository)
    assert len(code.commit()) == 40
    assert not code.is_changed()
    assert code.patch() == b""
    changed = b"epochs = 2\nurl = 'http://me:hush@host/'\n\xff\n"
    (repository / "train.py").write_bytes(changed)
    (repository / ".env.local").write_text("KEY=hush\n")
    (repository / "notes.txt").write_text("hush\n")
    assert code.is_changed()
    patch = code.patch()
    assert patch.startswith(b"# not in git: notes.txt\n")
    assert b"hush" not in patch
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    (tmp_path / "code.patch").write_bytes(patch)
    git(clone, "apply", str(tmp_path / "code.patch"))
    assert (clone / "train.py").read_bytes() == changed.replace(b"hush", b"***")
    (repository / "train.py").write_text("x" * 300_000)
    assert code.patch() == b""  # more than a run keeps


def test_an_installed_package_is_not_of_the_repository_around_it(repository: Path) -> None:
    installed = repository / ".venv"
    installed.mkdir()
    shutil.copy(ours.__file__, installed / "code.py")
    assert module_in(installed).commit() == ""
