"""The settings, read from environment variables, so that child processes have the same."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from mlflow_journal.errors import JournalError

FOLDER = "MLFLOW_JOURNAL_DIR"
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """How a journal behaves.

    Attributes:
        folder: of all journals of this user.
        sync_always: force every record to the disk before its call returns.
        exit_seconds: that a program waits at its end while nothing arrives.
        max_bytes: that the journals of one process may take; ``None``: as much as the disk has.
        drop_artifacts: beyond ``max_bytes``, drop artifacts with a warning instead of raising.
        provisional: whether a run, experiment or model may begin while the server is away.
    """

    folder: Path
    sync_always: bool = False
    exit_seconds: float = 10.0
    max_bytes: int | None = None
    drop_artifacts: bool = False
    provisional: bool = True

    def with_folder(self, folder: Path) -> "Settings":
        """The same in another folder."""
        return replace(self, folder=folder)


def journal_folder() -> Path | None:
    """Where the journals are; ``None``: the journal is off."""
    named = os.environ.get(FOLDER, "").strip()
    return Path(named).expanduser().absolute() if named else None


def read(folder: Path) -> Settings:
    """The settings of the environment.

    Raises:
        JournalError: a variable has a value that it cannot have.
    """
    largest = os.environ.get("MLFLOW_JOURNAL_MAX_BYTES", "").strip()
    return Settings(
        folder=folder,
        sync_always=_choice("MLFLOW_JOURNAL_SYNC", "batched", ("batched", "always")) == "always",
        exit_seconds=_number("MLFLOW_JOURNAL_EXIT_SECONDS", 10.0),
        max_bytes=int(_number("MLFLOW_JOURNAL_MAX_BYTES", 0)) if largest else None,
        drop_artifacts=_choice("MLFLOW_JOURNAL_WHEN_FULL", "raise", ("raise", "drop-artifacts")) == "drop-artifacts",
        provisional=_flag("MLFLOW_JOURNAL_PROVISIONAL_IDS", True),
    )


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise JournalError(f"{name}={text!r} is not a number of 0 or more; set one, or unset it for {default:g}")
    return value


def _flag(name: str, default: bool) -> bool:
    text = os.environ.get(name, "").strip().lower()
    if text and text not in TRUE | FALSE:
        raise JournalError(f"{name}={text!r} is neither true nor false")
    return text in TRUE if text else default


def _choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    text = os.environ.get(name, "").strip().lower() or default
    if text not in choices:
        raise JournalError(f"{name}={text!r} is not one of {', '.join(choices)}")
    return text
