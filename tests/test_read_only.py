"""Commands that only read make nothing, and say where they looked."""

from pathlib import Path

import pytest

from tests.commands import Command

NOTHING_THERE = "mlflow.db, so no run is tracked there. Go to the folder in which you trained, or name the place with"


@pytest.mark.parametrize(
    "words",
    [
        ("models",),
        ("runs", "list"),
        ("runs", "export", "a.zip", "abcd1234"),
        ("runs", "prune"),
        ("register", "--best", "Default"),
        ("rollback",),
        ("promote", "1", "--dataset", "sample"),
        ("report",),
        ("predict", "models:/kmnist@champion"),
        ("reap",),
    ],
    ids=" ".join,
)
def test_a_folder_without_a_store_stays_without(
    words: tuple[str, ...], kmnist_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    if words[0] == "predict":
        (tmp_path / "a.png").touch()
        words = ("predict", str(tmp_path / "a.png"), "--model", words[1])
    done = kmnist_command(*words)
    assert done.returncode == 1, done.stdout
    assert NOTHING_THERE in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(there.rglob("*.db*"))


def test_a_training_makes_the_store(kmnist_command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    done = kmnist_command("train", "--dataset", "sample", "--hidden", "8", "--epochs", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (there / "mlflow.db").is_file()
    assert kmnist_command("runs", "list").stdout.count("\n") == 2
