"""What a section is made of, before it is HTML or Markdown. Text is Markdown of one line; names go through "
"``literal``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kmnist.data.spec import DataSpec
from kmnist.figures.style import Drawing
from kmnist.metrics import Counts
from kmnist.text import for_terminal

_MARKS = re.compile(r"([\\`*_{}\[\]<>()#!|~&])")


def literal(text: str, most: int = 120) -> str:
    """A text from outside, as it is, in one line of Markdown: nothing in it is a mark, a link or a tag."""
    text = for_terminal(text)
    return _MARKS.sub(r"\\\1", text if len(text) <= most else f"{text[:most]}…")


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several."""

    text: str


@dataclass(frozen=True)
class Table:
    """Numbers side by side.

    Attributes:
        caption: what it tells.
        header: of the columns.
        rows: of Markdown; the first cell of each names it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing.

    Attributes:
        name: of its file.
        caption: what it shows.
        alt: the same for those who do not see it, with what is to be seen in it.
        drawing: itself.
        photographic: whether its colours must stay as they are on a dark page.
    """

    name: str
    caption: str
    alt: str
    drawing: Drawing
    photographic: bool = False


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: rows are the actual classes, columns the predicted ones.

    Attributes:
        name: of its file.
        caption: what was counted.
        counts: (C, C).
        spec: of the classes.
    """

    name: str
    caption: str
    counts: Counts
    spec: DataSpec


@dataclass(frozen=True)
class Gallery:
    """Small images, each with a line.

    Attributes:
        name: of the file that has them all, for Markdown.
        caption: what they are.
        alt: the same for those who do not see them.
        images: PNG and caption of each.
        sheet: all of them as one PNG.
    """

    name: str
    caption: str
    alt: str
    images: Sequence[tuple[bytes, str]]
    sheet: bytes


@dataclass(frozen=True)
class Code:
    """Something to type.

    Attributes:
        label: what it does.
        text: itself.
    """

    label: str
    text: str


@dataclass(frozen=True)
class Heading:
    """Of a part of a section."""

    text: str


Block: TypeAlias = Paragraph | Table | Figure | Matrix | Gallery | Code | Heading


@dataclass(frozen=True)
class Section:
    """One section of a report.

    Attributes:
        title: of it.
        blocks: in their order.
        numbers: the same as values, for programs.
    """

    title: str
    blocks: Sequence[Block]
    numbers: dict[str, Any] = field(default_factory=dict)
