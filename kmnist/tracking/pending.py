"""What an outage left on disk, sent after the fact."""

from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from kmnist.tracking.journal import JOURNAL, Journal
from kmnist.tracking.sender import Sender

PATIENCE_SECONDS = 15.0


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
    sender = Sender(client, run_id, journal)
    sender.start()
    complete = sender.drain(PATIENCE_SECONDS)
    sender.stop()
    journal.close()
    if not complete:
        return f"{journal.pending_bytes:,} of {waiting:,} bytes are still waiting ({sender.last_error})"
    return f"sent {waiting:,} bytes" + (f", {sender.rejected} records were refused" if sender.rejected else "")
