"""How plain the text of a page is: ``python -m docs.prose [FILE ...]`` prints it for pages of the documentation.

A sentence ends with a full stop, a question mark, an exclamation mark, or the end of a paragraph, list item or table
cell. Blocks of code, addresses of links and comments are left out.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONG = 35  # words of a sentence that is too long
ALLOWED = 0.02  # share of such sentences
AVOID = ("gone on with", "that which", "is said", "it is told", "what it was is", "whom it", "of that address")

_LEFT_OUT = re.compile(r"```.*?```|<!--.*?-->|^---$.*?^---$", re.S | re.M)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*>|#]|\d+\.)\s*)|\|")
_END = re.compile(r"(?<=[.?!])[)\"*_]*\s+(?=[\"(*_`A-Z0-9])")


@dataclass(frozen=True)
class Prose:
    """What was found in a text.

    Attributes:
        sentences: how many it has.
        long: those of more than ``LONG`` words.
        avoid: phrases of ``AVOID`` that it has, one for each time.
    """

    sentences: int
    long: list[str]
    avoid: list[str]

    @property
    def share(self) -> float:
        """The share of long sentences, 0 to 1."""
        return len(self.long) / max(self.sentences, 1)


def measure(text: str) -> Prose:
    """Measure Markdown."""
    sentences = list(_sentences(text))
    plain = " ".join(sentences).lower()
    return Prose(
        len(sentences),
        [one for one in sentences if len(one.split()) > LONG],
        [phrase for phrase in AVOID for _ in range(plain.count(phrase))],
    )


def _sentences(text: str) -> Iterator[str]:
    text = _LINK.sub(r"\1", _LEFT_OUT.sub("\n\n", text))
    text = re.sub(r"`[^`\n]+`", "Code", text)
    for block in _BLOCK.split(text):
        words = " ".join(block.split()).strip("#->*| ")
        yield from (one for one in _END.split(words) if len(one.split()) > 1)


def main(names: list[str]) -> None:
    """Print the measure of files, or of every page."""
    root = Path(__file__).parent.parent
    pages = [Path(name) for name in names] or [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    whole, long = 0, 0
    for page in pages:
        found = measure(page.read_text())
        whole, long = whole + found.sentences, long + len(found.long)
        print(f"{page}: {found.sentences} sentences, {found.share:.1%} over {LONG} words", *found.avoid, sep=" | ")
        for sentence in found.long if names else ():
            print(f"  {sentence}")
    print(f"all: {whole} sentences, {long / max(whole, 1):.1%} over {LONG} words")


if __name__ == "__main__":
    main(sys.argv[1:])
