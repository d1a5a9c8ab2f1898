"""What the server has not taken of the runs on this machine, shown, and sent after the fact."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from kmnist.durable import is_held
from kmnist.tracking.journal import LOCK, Journal, read_journal, refuse_links
from kmnist.tracking.records import describe
from kmnist.tracking.renew import is_gone
from kmnist.tracking.sender import Sender

PATIENCE_SECONDS = 15.0
GONE = (
    "left alone: there is no such run on this server. Is it on another (--tracking-uri)? If it was deleted for good "
    "(mlflow gc), kmnist sync --new-run sends what is here to a new run"
)


@dataclass(frozen=True)
class Pending:
    """What waits of a run.

    Attributes:
        run_id: of the run.
        unsent_bytes: of its journal; its files are not counted.
        set_aside: what the server refused, each with its answer.
        since: when the journal was written to last.
        in_use: a process is working on the run, and is sending what waits.
    """

    run_id: str
    unsent_bytes: int
    set_aside: list[tuple[str, str]]
    since: datetime
    in_use: bool


def list_pending(work_dir: Path) -> list[Pending]:
    """What waits below ``work_dir``, read without a server."""
    found = []
    for folder in _folders(work_dir):
        try:
            waiting = read_journal(folder)
            if waiting and not (in_use := is_held(folder / LOCK)):
                waiting = read_journal(folder)  # its process may have sent the rest and ended since
        except FileNotFoundError:  # or have deleted it
            continue
        if waiting and (waiting.unsent_bytes or waiting.tagged):
            aside = [(describe(record), answer) for record, answer in waiting.aside]
            found.append(Pending(folder.name, waiting.unsent_bytes, aside, waiting.since, in_use))
    return found


def send_pending(client: MlflowClient, work_dir: Path) -> Iterator[tuple[str, str]]:
    """Send every journal below ``work_dir`` whose run no process is working on.

    Yields:
        The run's id, and what became of its journal, in words.
    """
    for folder in _folders(work_dir):
        run_id = folder.name
        try:
            refuse_links(folder)
            if read_journal(folder) is None:
                continue
            with FileLock(folder / LOCK, timeout=0):
                if is_gone(client, run_id):
                    yield run_id, GONE
                else:
                    yield run_id, send_journal(client, run_id, folder)
        except Timeout:
            yield run_id, "left alone: a process is working on it"
        except OSError as error:
            yield run_id, f"left alone: it cannot be read ({error})"


def _folders(work_dir: Path) -> list[Path]:
    return sorted(path for path in work_dir.glob("*") if path.is_dir())


def send_journal(client: MlflowClient, run_id: str, folder: Path) -> str:
    """Send the journal in a folder that nobody else works in; gives what became of it, in words."""
    journal = Journal(folder)
    waiting = journal.unsent_bytes
    sender = Sender(client, run_id, journal, lives=False)
    sender.start()
    complete = sender.drain(PATIENCE_SECONDS)
    sender.stop()
    journal.close()
    if complete:
        return f"sent {waiting:,} bytes"
    left = f"{journal.unsent_bytes:,} of {waiting:,} bytes are still waiting"
    return (
        f"{left} ({sender.trouble})"
        if sender.trouble
        else f"{left}: the server refuses {journal.set_aside_count} of its records"
    )
