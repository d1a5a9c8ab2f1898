"""What folders hold: how much is to be read, and what is no picture, which is left out, and said."""

from collections import Counter

NAMES = 3  # of each kind
KINDS = 20


class Skipped:
    """Counts files by kind, in constant memory, whatever their names are.

    Attributes:
        listed: files that are to be read, of the folders that were looked at so far.
    """

    def __init__(self) -> None:
        self.listed = 0
        self._counts: Counter[str] = Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, kind: str) -> None:
        """One more, of a kind like ``.txt``."""
        if kind not in self._counts and len(self._counts) >= KINDS:
            kind = "of other kinds"
        self._counts[kind] += 1
        names = self._names.setdefault(kind, [])
        if len(names) < NAMES:
            names.append(name)

    def __str__(self) -> str:
        """How many, of which kinds, and a few names; empty if there are none."""
        kinds = [
            f"{count:,} {kind} ({', '.join(self._names[kind])}{', ...' if count > NAMES else ''})"
            for kind, count in self._counts.most_common()
        ]
        total = self._counts.total()
        return f"left out {total:,} {'file' if total == 1 else 'files'}: {'; '.join(kinds)}" if kinds else ""
