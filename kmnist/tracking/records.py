"""The records of a journal: what a person calls them, and which of them a later one makes void."""

from collections.abc import Iterable
from typing import Any

Record = dict[str, Any]


class Unsendable(Exception):
    """A record that is not sent, whatever the server says: it is damaged, forbidden, or needs another one first."""


def kind_of(record: Record) -> str:
    """For example ``metrics``; of a record that has none, ``damaged``."""
    kind = record.get("op")
    return kind if isinstance(kind, str) else "damaged"


def describe(record: Record) -> str:
    """What a record brings, in a few words; of any record, also one that somebody made by hand."""
    match record:
        case {"op": "file", "folder": folder, "payload": str(payload)}:
            name = payload.rpartition("/")[2]
            return f"{folder}/{name}" if folder else name
        case {"op": "metrics", "step": step}:
            return f"metrics of step {step}"
        case {"op": ("tags" | "params") as kind, **named} if isinstance(named.get(kind), dict):
            return f"{kind} {', '.join(named[kind])}"
        case {"op": "tag_run", "run_id": run_id}:
            return f"tags of run {run_id}"
        case {"op": "evaluated", "model_id": model_id}:
            return f"the evaluation of model {model_id}"
        case {"op": "status", "status": status}:
            return f"status {status}"
        case _:
            return kind_of(record)


def without_superseded(record: Record, later: Iterable[Record]) -> Record | None:
    """What of a record may still be sent after ``later`` ones have been; ``None``: nothing.

    Only tags and the status replace what was there before. All else may arrive in any order.
    """
    match kind_of(record):
        case "status":
            return None if any(kind_of(other) == "status" for other in later) else record
        case "tags" | "tag_run":
            same = [other for other in later if _target(other) == _target(record)]
            newer = {key for other in same for key in other.get("tags", ())}
            tags = {key: text for key, text in record["tags"].items() if key not in newer}
            return {**record, "tags": tags} if tags else None
        case _:
            return record


def _target(record: Record) -> tuple[object, object]:
    return kind_of(record), record.get("run_id")
