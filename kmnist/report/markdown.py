"""A report as Markdown with PNG files beside it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO

from kmnist.figures import confusion_matrix_image
from kmnist.report.blocks import Block, Code, Figure, Gallery, Heading, Matrix, Paragraph, Section, Table
from kmnist.report.source import Report

FIGURES = "figures"


def render_markdown(report: Report, sections: Mapping[str, Section]) -> tuple[str, dict[str, bytes]]:
    """The text, and the files that it shows, by their paths beside it."""
    files: dict[str, bytes] = {}
    lines = [f"# {report.title}", ""]
    for section in sections.values():
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_lines(block, files), ""]
    return "\n".join(lines).rstrip() + "\n", files


def _lines(block: Block, files: dict[str, bytes]) -> Iterator[str]:
    match block:
        case Paragraph(text):
            yield text
        case Heading(text):
            yield f"### {text}"
        case Table(caption, header, rows):
            yield from (f"_{_unmarked(caption)}_", "", *_table(header, rows))
        case Code(label, text):
            yield from (f"{label}:", "", "```", text.rstrip().replace("```", "'''"), "```")
        case Figure(name, caption, alt, drawing):
            yield from _picture(name, drawing.png, alt, caption, files)
        case Matrix(name, caption, counts, spec):
            content = BytesIO()
            confusion_matrix_image(counts, spec).save(content, "png")
            alt = f"A matrix of {len(counts)} by {len(counts)} counts, largest on the diagonal."
            yield from _picture(name, content.getvalue(), alt, caption, files)
        case Gallery(name, caption, alt, _, sheet):
            yield from _picture(name, sheet, alt, caption, files)


def _picture(name: str, png: bytes, alt: str, caption: str, files: dict[str, bytes]) -> Sequence[str]:
    path = f"{FIGURES}/{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}.png"
    files[path] = png
    return f"![{_unmarked(alt)}]({path})", "", f"_{_unmarked(caption)}_"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "| --- " * len(header) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _unmarked(text: str) -> str:
    return text.replace("**", "")
