"""Sends the records of one journal: in requests as large as the server takes, each run's in order.

What the server refuses is set aside and holds up nothing. What it does not answer is tried again later: whether it is
the record or the server is found by asking for something else.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mlflow.exceptions import MlflowException

from mlflow_journal.errors import ServerAway, Unresolved, Unsendable
from mlflow_journal.files import Position, replace_file
from mlflow_journal.identities import is_provisional
from mlflow_journal.journal import Entry, Journal, Record, encode
from mlflow_journal.operations import LogBatch, Operation, Target, operation
from mlflow_journal.operations.run import MOST_BYTES, MOST_ENTITIES, MOST_METRICS, MOST_PARAMS, MOST_TAGS
from mlflow_journal.retry import TRIES
from mlflow_journal.server import SEND_SECONDS, patience

#: The tag of a run that says what the server has not taken of it.
UNSENT_TAG = "mlflow_journal.unsent"
WINDOW_RECORDS, WINDOW_BYTES = 4000, 2**20
#: How long a provisional id of another process is waited for before what needs it is set aside.
UNRESOLVED_TRIES, UNRESOLVED_SECONDS = 20, 0.25
TAGGED = "tagged.json"


@dataclass
class Request:
    """Records that travel together: one of any kind, or batches of one run."""

    entries: list[Entry]
    operations: list[Operation]
    metrics: int = 0
    params: dict[str, str] = field(default_factory=dict)
    tags: int = 0
    bytes: int = 0

    def add(self, entry: Entry, batch: LogBatch) -> None:
        """Let one more travel."""
        self.entries.append(entry)
        self.operations.append(batch)
        self.metrics += len(batch.metrics)
        self.params.update(batch.params)
        self.tags += len(batch.tags)
        self.bytes += len(entry.raw) + 80 * len(batch.metrics)

    def takes(self, entry: Entry, batch: LogBatch) -> bool:
        """Whether one more keeps within the server's limits, and contradicts no parameter."""
        params = len(self.params) + len(batch.params)
        return (
            self.metrics + len(batch.metrics) <= MOST_METRICS
            and params <= MOST_PARAMS
            and self.tags + len(batch.tags) <= MOST_TAGS
            and self.metrics + len(batch.metrics) + params + self.tags + len(batch.tags) <= MOST_ENTITIES
            and self.bytes + len(entry.raw) + 80 * len(batch.metrics) <= MOST_BYTES
            and all(self.params.get(key, value) == value for key, value in batch.params.items())
        )

    def merged(self) -> Operation:
        """One operation that says the same as all."""
        if len(self.operations) == 1:
            return self.operations[0]
        metrics: list[list[Any]] = []
        tags: dict[str, str] = {}
        for batch in self.operations:
            assert isinstance(batch, LogBatch)
            metrics += batch.metrics
            tags.update(batch.tags)
        return LogBatch(self.operations[0].subject, metrics, dict(self.params), tags)


class Delivery:
    """Sends one journal.

    Args:
        journal: what to send; held by this process.
        target: where to.
        stop: set: leave after the request that is under way.
        arrived: called with every operation that the server has taken.
    """

    def __init__(
        self,
        journal: Journal,
        target: Target,
        stop: threading.Event,
        arrived: Callable[[Operation], None] = lambda operation: None,
    ) -> None:
        self.journal = journal
        self._target, self._stop, self._tell = target, stop, arrived
        self._tagged = self._read_tagged()
        self._is_retrying = False
        self._aside_now: set[Position] = set()
        self.aside_changed = bool(self._tagged)

    def step(self) -> bool:
        """Send some of what waits; whether there was anything.

        Raises:
            ServerAway: it has to wait; what arrived before is remembered.
        """
        entries = self.journal.peek(WINDOW_RECORDS, WINDOW_BYTES)
        if not entries:
            return False
        arrived: list[Record] = []
        done: set[Position] = set()
        try:
            with patience(SEND_SECONDS, repeat=False):
                for request in self._requests(entries):
                    for entry, answer in self._deliver(request):
                        self._set_aside(entry, answer)
                    arrived += [entry.record for entry in request.entries if entry.start not in self._aside_now]
                    done |= {entry.start for entry in request.entries}
                    if self._stop.is_set():
                        break
        finally:
            self._aside_now.clear()
            end = None
            for entry in entries:
                if entry.start not in done:
                    break
                end = entry.end
            if end is not None:
                reached = {id(entry.record) for entry in entries if entry.end <= end}
                self.journal.ack(end, [record for record in arrived if id(record) in reached])
        return True

    def retry_aside(self) -> None:
        """Try once what is set aside, as far as nothing newer has taken its place.

        Raises:
            ServerAway: the rest stays for another time.
        """
        away: list[ServerAway] = []

        def handle(window: list[Entry]) -> list[Entry]:
            left: list[Entry] = []
            for request in self._requests(window):
                if away or self._stop.is_set():
                    left += request.entries
                    continue
                try:
                    left += [entry._replace(answer=answer) for entry, answer in self._deliver(request)]
                except ServerAway as error:
                    away.append(error)
                    left += request.entries
            order = {id(entry.record): number for number, entry in enumerate(window)}
            return sorted(left, key=lambda entry: order[id(entry.record)])

        self._is_retrying = True
        try:
            with patience(SEND_SECONDS, repeat=False):
                self.journal.revise(handle)
        finally:
            self._is_retrying = False
        self.aside_changed = True
        if away:
            raise away[0]

    def tell_missing(self) -> None:
        """Say in a tag of each run what is set aside; take the tag away where nothing is.

        Raises:
            ServerAway: it is told later.
        """
        if not self.aside_changed:
            return
        missing: dict[str, list[str]] = {}
        for entry in self.journal.dead_letters():
            with suppress(Unresolved):
                found = self._operation(entry)
                texts = missing.setdefault(found.subject, [])
                if len(texts) < 20:
                    texts.append(found.describe())
        with patience(SEND_SECONDS, repeat=False):
            for run_id in [run_id for run_id in missing if _is_run(run_id)]:
                self._remember_tagged(self._tagged | {run_id})
                with suppress(MlflowException):
                    self._set_tag(run_id, ", ".join(missing[run_id]))
            for run_id in self._tagged - missing.keys():
                with suppress(MlflowException):
                    self._target.server.store.delete_tag(run_id, UNSENT_TAG)
                self._remember_tagged(self._tagged - {run_id})
        self.aside_changed = False

    # What one window becomes

    def _requests(self, entries: list[Entry]) -> Iterator[Request]:
        """In the order of the journal, but that batches of a run wait for each other."""
        waiting: dict[str, Request] = {}
        for entry in entries:
            try:
                found = self._operation(entry)
            except Unresolved:
                found = operation(entry.record)  # tried again when its turn comes
            request = waiting.get(found.subject)
            if isinstance(found, LogBatch):
                if request and not request.takes(entry, found):
                    yield waiting.pop(found.subject)
                    request = None
                if request is None:
                    request = waiting[found.subject] = Request([], [])
                request.add(entry, found)
                continue
            if request:
                yield waiting.pop(found.subject)
            yield Request([entry], [found])
        yield from waiting.values()

    def _operation(self, entry: Entry) -> Operation:
        """With the server's ids in the place of provisional ones.

        Raises:
            Unresolved: one has none yet.
        """
        if b"journal" not in entry.raw:
            return operation(entry.record)
        record = dict(entry.record)
        own = record.pop("provisional", None)
        record = json.loads(self._target.identities.resolve(encode(record)))
        return operation(record if own is None else {**record, "provisional": own})

    def _deliver(self, request: Request) -> list[tuple[Entry, str]]:
        """Send it; gives what of it has to be set aside, and why.

        Raises:
            ServerAway: nothing can be sent now.
        """
        tries = 0
        while True:
            tries += 1
            try:
                self._send(request)
                return []
            except Unsendable as error:
                answer, may_pass = str(error), False
            except Unresolved as error:
                answer, may_pass = str(error.message), False
            except ServerAway as error:
                answer, may_pass = str(error.message), True
            except Exception as error:  # the server refuses, or a storage in one of its ways
                answer, may_pass = _in_one_line(error), not isinstance(error, MlflowException)
            takes_others = self._ask(request.operations[0].subject, request)
            if len(request.entries) > 1:
                if takes_others:  # one of them is at fault
                    middle = len(request.entries) // 2
                    return [aside for half in _halves(request, middle) for aside in self._deliver(half)]
                return [(entry, answer) for entry in request.entries]
            if not may_pass or tries >= TRIES or self._is_retrying or self._stop.wait(0.2 * tries):
                return [(request.entries[0], answer)]

    def _send(self, request: Request) -> None:
        """Once. Provisional ids of other processes are waited for, for a while."""
        for attempt in range(UNRESOLVED_TRIES):
            try:
                found = [self._operation(entry) for entry in request.entries if b"journal" in entry.raw]
                break
            except Unresolved as error:
                if self._is_retrying or attempt == UNRESOLVED_TRIES - 1 or self._is_own(error.provisional):
                    raise
                if self._stop.wait(UNRESOLVED_SECONDS):
                    raise
        if found and len(found) == len(request.entries):
            request.operations = found
        merged = request.merged()
        merged.send(self._target)
        for sent in request.operations:
            self._tell(sent)
        if self.journal.aside_count and not self._is_retrying:
            self._drop_superseded(merged)

    def _is_own(self, provisional: str) -> bool:
        """Whether its creation is set aside here: then nothing is gained by waiting."""
        return any(entry.record.get("provisional") == provisional for entry in self.journal.dead_letters())

    def _drop_superseded(self, newer: Operation) -> None:
        """What is aside and older must not undo what has arrived now."""

        def handle(window: list[Entry]) -> list[Entry]:
            left = []
            for entry in window:
                try:
                    old = self._operation(entry)
                except Unresolved:
                    left.append(entry)
                    continue
                rest = old.superseded_by(newer)
                if rest is old:
                    left.append(entry)
                elif rest is not None:
                    left.append(entry._replace(record={"v": 1, "id": entry.record.get("id"), **rest.to_json()}))
                if rest is not old:
                    self.aside_changed = True
            return left

        if newer.superseding:
            self.journal.revise(handle)

    def _ask(self, subject: str, request: Request) -> bool:
        """Whether the server takes something else of the same run; false: it refuses this run.

        Raises:
            ServerAway: it takes nothing.
        """
        if not _is_run(subject):
            self._target.server.store.search_experiments(max_results=1)
            return True
        try:
            self._remember_tagged(self._tagged | {subject})
            self.aside_changed = True
            self._set_tag(subject, ", ".join(found.describe() for found in request.operations[:5]))
        except ServerAway:
            raise
        except MlflowException:
            return False
        return True

    def _set_tag(self, run_id: str, text: str) -> None:
        value = text if len(text) < 500 else f"{text[:497]}..."
        self._target.server.post("runs/set-tag", {"run_id": run_id, "key": UNSENT_TAG, "value": value})

    def _set_aside(self, entry: Entry, answer: str) -> None:
        self._aside_now.add(entry.start)
        self.journal.dead_letter(entry.record, answer)
        self.aside_changed = True

    def _read_tagged(self) -> set[str]:
        try:
            found = json.loads((self.journal.folder / TAGGED).read_bytes())
            return {run_id for run_id in found if isinstance(run_id, str)}
        except (OSError, ValueError, TypeError):
            return set()

    def _remember_tagged(self, tagged: set[str]) -> None:
        if tagged != self._tagged:
            self._tagged = tagged
            with suppress(OSError):
                replace_file(self.journal.folder / TAGGED, json.dumps(sorted(tagged)).encode())


def _halves(request: Request, middle: int) -> list[Request]:
    halves = []
    for part in (slice(0, middle), slice(middle, None)):
        half = Request([], [])
        for entry, batch in zip(request.entries[part], request.operations[part]):
            assert isinstance(batch, LogBatch)
            half.add(entry, batch)
        halves.append(half)
    return halves


def _is_run(subject: str) -> bool:
    return len(subject) == 32 and subject.isalnum() and not is_provisional(subject)


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{error}".split())[:500] or type(error).__name__
