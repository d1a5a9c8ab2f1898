"""The sender: the one thread of a process that carries journals to a server, and waits out what is not there.

It sends the journal of its own process first, then those of processes that are dead.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mlflow_journal.delivery import Delivery
from mlflow_journal.errors import ServerAway
from mlflow_journal.files import Position
from mlflow_journal.journal import Busy, Journal
from mlflow_journal.operations import Operation, Target
from mlflow_journal.retry import ASIDE_SECONDS, MOST_ASIDE_SECONDS, Backoff

#: What follows within this time travels in the same request.
LINGER_SECONDS = 0.1
#: How often journals of dead processes are looked for, and those in which something is refused.
ADOPT_SECONDS, ADOPT_REFUSED_SECONDS = 2.0, 60.0
JOURNALS = "j-*"


class Sender:
    """Sends in the background.

    Args:
        folder: of the address, with the journals of all its processes.
        target: what a journal is sent to.

    Attributes:
        trouble: why the server takes nothing now; ``None``: it does, or has not been asked.
        reached_at: when it last took something, by the monotonic clock.
    """

    def __init__(self, folder: Path, target: Callable[[Journal], Target]) -> None:
        self._folder, self._target = folder, target
        self._own: Delivery | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()
        self._aside_backoff = Backoff(ASIDE_SECONDS, MOST_ASIDE_SECONDS)
        self._retry_at: float | None = None
        self._older_adopted = False
        self._adopt_at = 0.0
        self._refused: dict[Path, float] = {}
        self._rounds = 0
        self.trouble: str | None = None
        self.reached_at = 0.0

    def start(self, own: Journal | None = None) -> None:
        """Begin to send; ``own`` is the journal of this process."""
        with self._mutex:
            if own is not None:
                self._own = Delivery(own, self._target(own), self._stop, self._arrived)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mlflow-journal", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        if not self._wake.is_set():
            self._wake.set()

    def wait(self, position: Position, seconds: float, *, patient: bool = False) -> bool:
        """Hurry until all before ``position`` has arrived or is refused (true).

        Args:
            position: in the journal of this process.
            seconds: that this may take; with ``patient``, without anything arriving.
            patient: wait through an outage as well.
        """
        journal = self._own.journal if self._own else None
        if journal is None:
            return True
        seen, until = journal.position, time.monotonic() + seconds
        rounds = self._rounds
        self._hurry.set()
        self._wake.set()
        try:
            with journal.changed:
                while journal.position < position:
                    if patient and journal.position > seen:
                        seen, until = journal.position, time.monotonic() + seconds
                    left = until - time.monotonic()
                    if left <= 0 or (self.trouble and not patient and self._rounds > rounds):
                        return False
                    journal.changed.wait(min(left, 0.5))
            return True
        finally:
            self._hurry.clear()

    def stop(self, seconds: float = 1.0) -> None:
        """End the thread after the request that it is in."""
        self._stop.set()
        self._wake.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def finish_aside(self) -> None:
        """Try once more, in the calling thread, what is set aside, and tell what is missing. After ``stop``."""
        if self._own is not None and self._own.journal.aside_count:
            self._stop.clear()
            with suppress(ServerAway):
                self._own.retry_aside()
                self._own.tell_missing()

    def _work(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            pause = 0.0
            try:
                moved = self._round()
                self.trouble = None
                backoff.reset()
                if not moved:
                    pause = min(
                        1.0, max(0.05, min(self._retry_at or self._adopt_at, self._adopt_at) - time.monotonic())
                    )
            except ServerAway as error:
                self.trouble = str(error.message)
                pause = backoff.next(error.retry_after)
                if error.retry_after:
                    self._stop.wait(error.retry_after)
            except Exception as error:  # a full disk, a journal that somebody deleted: told, and tried again
                self.trouble = f"{type(error).__name__}: {error}"
                pause = backoff.next(1.0)
            self._rounds += 1
            self._tell_waiting()
            if pause:
                self._pause(pause)

    def _pause(self, seconds: float) -> None:
        """Until it is time, or somebody waits; new records alone end it only where the server is there."""
        if self.trouble:
            self._hurry.wait(seconds)
            if self._hurry.is_set():
                self._stop.wait(min(seconds, 0.2))  # asked again and again, it still does not spin
            return
        self._wake.wait(seconds)
        if self._wake.is_set():
            self._wake.clear()
            if not self._hurry.is_set():
                self._hurry.wait(LINGER_SECONDS)

    def _round(self) -> bool:
        """Do what can be done now; whether there was anything.

        Raises:
            ServerAway: the server takes nothing.
        """
        self._adopt_older()
        own, moved = self._own, False
        if own is not None:
            moved = own.step()
            if not own.journal.aside_count:
                self._retry_at = None
                self._aside_backoff.reset()
            elif self._retry_at is None or time.monotonic() >= self._retry_at:
                if self._retry_at is not None:
                    own.retry_aside()
                self._retry_at = time.monotonic() + self._aside_backoff.next()
            own.tell_missing()
        if not moved and time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self.adopt()
        return moved

    def _adopt_older(self) -> None:
        """What earlier processes have left comes before what this one writes of the same runs."""
        if not self._older_adopted and self._own is not None:
            self.adopt(before=self._own.journal.folder.name)
            self._older_adopted = True

    def adopt(self, before: str = "") -> None:
        """Send the journals that dead processes left behind; with ``before``, those that are older.

        Raises:
            ServerAway: the server takes nothing.
        """
        own = self._own.journal.folder if self._own else None
        for folder in sorted(self._folder.glob(JOURNALS)):
            if folder == own or self._stop.is_set() or time.monotonic() < self._refused.get(folder, 0.0):
                continue
            if before and folder.name >= before:
                continue
            if not (folder / "records").is_dir():
                continue
            try:
                journal = Journal(folder)
            except (Busy, OSError):
                continue
            try:
                self._send_all(journal)
                if not journal.is_empty:
                    self._refused[folder] = time.monotonic() + ADOPT_REFUSED_SECONDS
            finally:
                journal.close()

    def _send_all(self, journal: Journal) -> None:
        delivery = Delivery(journal, self._target(journal), self._stop, self._arrived)
        while delivery.step() and not self._stop.is_set():
            pass
        if journal.aside_count:
            delivery.retry_aside()
        delivery.tell_missing()

    def _arrived(self, operation: Operation) -> None:
        """The server is there: who waited for this may ask it at once."""
        self.trouble, self.reached_at = None, time.monotonic()

    def _tell_waiting(self) -> None:
        own = self._own
        if own is not None:
            with own.journal.changed:
                own.journal.changed.notify_all()
