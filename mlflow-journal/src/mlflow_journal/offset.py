"""How far a journal has been sent: the file ``sent`` beside it, replaced as a whole."""

import json
from pathlib import Path

from mlflow_journal.files import Position, replace_file

SENT = "sent.json"


def read_offset(folder: Path, first: int, end: Position) -> Position:
    """Where to go on in a queue. Where the file is missing or damaged, all is sent again, without harm."""
    start = Position(first, 0)
    try:
        found = json.loads((folder / SENT).read_bytes())
        position = Position(int(found["segment"]), int(found["offset"]))
    except (OSError, ValueError, TypeError, KeyError):
        return start
    return position if start <= position <= end else start


def write_offset(folder: Path, position: Position, *, force: bool = False) -> None:
    """Remember a place. ``force`` it to the disk before files go that have arrived.

    Raises:
        OSError: the disk is full.
    """
    content = json.dumps({"v": 1, "segment": position.segment, "offset": position.offset})
    replace_file(folder / SENT, content.encode(), force=force)
