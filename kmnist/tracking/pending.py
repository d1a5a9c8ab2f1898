"""What an outage left on disk, sent after the fact."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from kmnist.tracking.journal import JOURNAL, REJECTED, Journal, unsent_bytes
from kmnist.tracking.sender import Sender

PATIENCE_SECONDS = 15.0


@dataclass(frozen=True)
class Pending:
    """What waits of a run.

    Attributes:
        run_id: of the run.
        unsent_bytes: of its journal; its files are not counted.
        rejected: how many records the server has refused for good.
        since: when the journal was written to last.
    """

    run_id: str
    unsent_bytes: int
    rejected: int
    since: datetime


def list_pending(work_dir: Path) -> list[Pending]:
    """What waits below ``work_dir``, read without a server."""
    found = []
    for folder in sorted(path for path in work_dir.glob("*") if path.is_dir()):
        unsent, rejected = unsent_bytes(folder), folder / REJECTED
        refused = len(rejected.read_text().splitlines()) if rejected.exists() else 0
        if unsent or refused:
            newest = max(path.stat().st_mtime for path in (folder / JOURNAL, rejected) if path.exists())
            found.append(Pending(folder.name, unsent, refused, datetime.fromtimestamp(newest)))
    return found


def send_pending(client: MlflowClient, work_dir: Path) -> Iterator[tuple[str, str]]:
    """Send every journal below ``work_dir`` whose run no process is working on.

    Yields:
        The run's id, and what became of its journal, in words.
    """
    for path in sorted(work_dir.glob(f"*/{JOURNAL}")):
        folder, run_id = path.parent, path.parent.name
        try:
            with FileLock(folder / "lock", timeout=0):
                yield run_id, _send(client, run_id, folder)
        except Timeout:
            yield run_id, "left alone: a process is working on it"


def _send(client: MlflowClient, run_id: str, folder: Path) -> str:
    journal = Journal(folder)
    waiting = journal.pending_bytes
    sender = Sender(client, run_id, journal, lives=False)
    sender.start()
    complete = sender.drain(PATIENCE_SECONDS)
    sender.stop()
    journal.close()
    if not complete:
        return f"{journal.pending_bytes:,} of {waiting:,} bytes are still waiting ({sender.last_error})"
    return f"sent {waiting:,} bytes" + (f", {sender.rejected} records were refused" if sender.rejected else "")
