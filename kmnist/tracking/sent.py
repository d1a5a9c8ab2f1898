"""How far a journal has been sent, and what was set aside on the way: the file ``sent`` beside it."""

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from kmnist.durable import replace_file

SENT = "sent"


@dataclass(frozen=True)
class Aside:
    """A record that was set aside: its place in the journal, in bytes, and what the server answered last."""

    start: int
    end: int
    answer: str


@dataclass
class Progress:
    """How far a journal has been sent: the file ``sent``.

    Attributes:
        position: everything before it has arrived or is set aside.
        aside: what is set aside.
        tagged: whether the run may have a tag that says what is missing.
    """

    position: int = 0
    aside: list[Aside] = field(default_factory=list)
    tagged: bool = False

    @classmethod
    def read(cls, folder: Path, size: int) -> "Progress":
        """Of a journal of ``size`` bytes. Where the file is missing or damaged, all is sent again, without harm."""
        try:
            content = (folder / SENT).read_bytes()
            found = cls(int(content)) if content.isdigit() else _PROGRESS.validate_json(content)
        except (OSError, ValueError):  # also pydantic's; a bare number is of version 0.1
            return cls()
        ends = [found.position, *(end for aside in found.aside for end in (aside.start, aside.end - 1))]
        return found if all(0 <= end <= size for end in ends) else cls()

    def write(self, folder: Path, *, force: bool = False) -> bool:
        """Replace the file; false if the disk is full. ``force`` it to the disk before files go that have arrived."""
        try:
            replace_file(folder / SENT, _PROGRESS.dump_json(self), force=force)
        except OSError:
            return False
        return True

    def unsent_bytes(self, size: int) -> int:
        """How much of a journal of ``size`` bytes has not arrived."""
        return size - self.position + sum(aside.end - aside.start for aside in self.aside)


_PROGRESS = TypeAdapter(Progress)
