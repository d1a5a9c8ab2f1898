"""The sender: a thread that carries a journal's records to MLflow, in order, and waits out what is not there.

A server that takes nothing is waited for. A record that it refuses while it takes others is set aside after a few
tries, and holds up nothing: it is tried again from time to time, at the end of the run, and by ``kmnist sync``. For as
long as one is missing, the run has the tag ``unsent``, which says what.
"""

import math
import re
import threading
import time
from contextlib import suppress
from itertools import takewhile

import tenacity
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kmnist.addresses import redact
from kmnist.errors import in_one_line
from kmnist.tracking.deliver import BATCHED, deliver
from kmnist.tracking.journal import Entry, Journal
from kmnist.tracking.places import ArtifactsElsewhere, check_place
from kmnist.tracking.records import Record, Unsendable, describe, kind_of, without_superseded
from kmnist.tracking.retry_after import TOO_BUSY, asked_to_wait

#: The tag of a run that says what the server has not taken of it.
UNSENT_TAG = "unsent"
#: How often a record is tried before it is set aside.
TRIES = 3
#: Before what is set aside is tried again while the run goes on; doubled each time, up to the last.
RETRY_SECONDS, MOST_RETRY_SECONDS = 5.0, 300.0
#: Before each time that it is tried at the end.
LAST_TRIES_SECONDS = (0.0, 1.0, 2.0)
#: For how long at a time, so that new records and the end of a run need not wait for what is refused anyway.
MOST_RETRYING_SECONDS = 20.0
#: Records that travel together, so that an epoch costs one request.
MOST_RECORDS = 50
LINGER_SECONDS = 0.1
#: What an error of MLflow's quotes of an answer that is not the server's.
PAGE = re.compile(r"not in a valid JSON format.*<(!doctype )?html", re.IGNORECASE)


class Sender:
    """Sends a journal until it is told to stop. Every record may be sent again without harm.

    Args:
        client: where to send to.
        run_id: the run that all records are about.
        journal: what to send.
        lives: whether the run goes on while this is sent. If so, it is RUNNING again after an outage, in which somebody
            may have taken it for dead (``kmnist reap``).

    Attributes:
        trouble: why the server takes nothing now; ``None``: it does.
    """

    def __init__(self, client: MlflowClient, run_id: str, journal: Journal, *, lives: bool) -> None:
        self._client = client
        self._run_id = run_id
        self._journal = journal
        self._lives = lives
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._over = threading.Event()
        self._is_running = True
        self._is_placed = lives  # where a run was made or taken up again, it was asked whether its files get there
        self._asked_to_wait = 0
        self._tried_last = -1
        self._next_retry, self._retry_seconds = 0.0, RETRY_SECONDS
        self._thread = threading.Thread(target=self._work, name="kmnist-sender", daemon=True)
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def drain(self, patience_seconds: float) -> bool:
        """Wait until all has arrived (true), or the rest is refused, or nothing has for ``patience_seconds``."""
        self._hurry.set()  # no more will follow
        seen = self._journal.moves
        while not self._over.is_set():
            if not self._journal.wait_for_move(seen, patience_seconds):
                break
            seen = self._journal.moves
        return self._journal.is_complete

    def stop(self) -> None:
        """End the thread after the call it is in."""
        self._stop.set()
        self._journal.release()
        self._thread.join(timeout=1)

    def _work(self) -> None:
        while not self._stop.is_set():
            if entries := self._next():
                self._carry(entries)
            elif self._hurry.is_set():
                break
            elif self._is_unfinished and time.monotonic() >= self._next_retry:
                self._retry()
                self._next_retry = time.monotonic() + self._retry_seconds
                self._retry_seconds = min(2 * self._retry_seconds, MOST_RETRY_SECONDS)
        for seconds in LAST_TRIES_SECONDS:
            if not self._is_unfinished or self._stop.wait(seconds):
                break
            self._retry()
        self._over.set()
        self._journal.release()

    def _next(self) -> list[Entry]:
        """The next records to send in one request; none if there are none for a while."""
        first = self._journal.peek(timeout=0 if self._hurry.is_set() else 0.2)
        if not first or kind_of(first[0].record) not in BATCHED:
            return first
        self._hurry.wait(LINGER_SECONDS)  # what belongs to the same epoch follows at once
        found = self._journal.peek(timeout=0, most=MOST_RECORDS)
        return list(takewhile(lambda entry: kind_of(entry.record) in BATCHED, found))

    def _carry(self, entries: list[Entry]) -> None:
        """Send records until they have arrived, are set aside, or the sender is stopped."""
        records = [entry.record for entry in entries]
        kinds_aside = {kind_of(entry.record) for entry, _ in self._journal.aside}
        answer = ""
        for attempt in range(1 if kind_of(records[0]) in kinds_aside else TRIES):
            try:
                self._send(records)
            except Unsendable as error:
                answer = str(error)
                break
            except Exception as error:  # in any of MLflow's and requests' ways
                answer = _answer(error)
            else:
                self._journal.strike(*entries)
                return
            if not self._wait_for_server(records) or self._stop.wait(0.1 * 2**attempt):
                return
        if len(entries) > 1:  # one of them is at fault
            for entry in entries:
                if not self._stop.is_set():
                    self._carry([entry])
        else:
            self._journal.set_aside(entries[0], answer)

    def _wait_for_server(self, records: list[Record]) -> bool:
        """Wait until the server takes a tag of this run: then it is not the server. False: stopped meanwhile."""
        backoff = tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.1)
        waiting = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda takes: not takes),
            stop=tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            wait=lambda state: max(backoff(state), self._asked_to_wait),
        )
        try:
            return waiting(self._probe, records)
        except tenacity.RetryError:
            return False

    def _probe(self, records: list[Record]) -> bool:
        """Whether the server takes a tag of this run, which says that ``records`` and what is set aside are missing."""
        try:
            self._tag_missing(records)
        except Exception as error:
            self.trouble = _answer(error)
            is_busy = TOO_BUSY.search(str(error))
            self._asked_to_wait = asked_to_wait(self._client.tracking_uri, self._run_id) if is_busy else 0
            return False
        self.trouble = None
        if self._lives and self._is_running:
            with suppress(Exception):  # of its own accord it is not refused, and in an outage this is tried again
                self._client.update_run(self._run_id, "RUNNING")
        return True

    def _send(self, records: list[Record]) -> None:
        if kind_of(records[0]) == "model" and any(
            kind_of(entry.record) == "params" for entry, _ in self._journal.aside
        ):
            raise Unsendable("it waits for the run's parameters, which become its own")
        if kind_of(records[0]) == "status":
            self._is_running = records[0].get("status") == "RUNNING"
        if kind_of(records[0]) in ("file", "model") and not self._is_placed:
            try:
                check_place(self._client, self._client.get_run(self._run_id))
            except ArtifactsElsewhere as error:
                raise Unsendable(str(error)) from error
            self._is_placed = True
        deliver(self._client, self._run_id, self._journal.payloads, records)

    @property
    def _is_unfinished(self) -> bool:
        return bool(self._journal.set_aside_count or self._journal.tagged)

    def _retry(self) -> None:
        """Try once what is set aside, as far as nothing newer has taken its place, and tell what is still missing."""
        until = time.monotonic() + MOST_RETRYING_SECONDS if self._lives else math.inf
        aside = [entry for entry, _ in self._journal.aside]
        for entry in sorted(
            aside, key=lambda entry: entry.start <= self._tried_last
        ):  # goes on where the last one ended
            self._tried_last = entry.start
            try:
                later = (after.record for after in self._journal.after(entry.end))
                if (record := without_superseded(entry.record, later)) is not None:
                    self._send([record])
            except Exception as error:
                self._journal.set_aside(entry, _answer(error))
                if self._stop.is_set() or not self._probe([]):
                    return
            else:
                self._journal.strike(entry)
            if time.monotonic() > until:
                break
        self._probe([])
        if not self._is_unfinished:
            self._retry_seconds = RETRY_SECONDS

    def _tag_missing(self, records: list[Record]) -> None:
        """Say in a tag of the run that these records, and those set aside, are missing; take it away if none are."""
        missing = [*(entry.record for entry, _ in self._journal.aside), *records]
        if missing:
            self._journal.tagged = True
            text = ", ".join(describe(record) for record in missing)
            self._client.set_tag(self._run_id, UNSENT_TAG, text if len(text) < 500 else f"{text[:497]}...")
        elif self._journal.tagged:
            try:
                self._client.delete_tag(self._run_id, UNSENT_TAG)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # it is gone already: the answer was lost
                    raise
            self._journal.tagged = False


def _answer(error: Exception) -> str:
    """What an error says, in one line."""
    text = in_one_line(error)
    if PAGE.search(text):
        return "a web page came in place of an answer: a proxy before the server may want a new login"
    return redact(text)[:500]
