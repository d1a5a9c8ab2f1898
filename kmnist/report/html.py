"""A report as one HTML file that asks for nothing: style, figures, images and a few letters of a font are in it."""

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markupsafe import Markup

from kmnist.fonts import font_css
from kmnist.report.blocks import Matrix, Section, Table
from kmnist.report.source import Report

HERE = Path(__file__).parent
_INLINE = MarkdownIt("commonmark", {"html": False}).disable(["image", "link", "autolink"])
_JAPANESE = re.compile(r"[぀-ヿ㐀-鿿]+")
_NUMBER = re.compile(r"[-+<>≈]?[\d.,]+(e[-+]\d+)?( ?%| s| points)?( [(±].*)?|p [=<].*|–|none|")


def render_html(report: Report, sections: Mapping[str, Section]) -> str:
    """Valid HTML5; the same report gives the same bytes."""
    environment = Environment(
        autoescape=True, loader=FileSystemLoader(HERE), trim_blocks=False, keep_trailing_newline=True
    )
    environment.filters |= {
        "md": _markdown,
        "words": _words,
        "numeric": _numeric,
        "shaded": _shaded,
        "kind": lambda of: type(of).__name__,
        "svg": lambda svg: _data("image/svg+xml", svg.encode()),
        "png": lambda png: _data("image/png", png),
    }
    glyphs = {label.glyph for spec in _specs(report, sections) for label in spec.classes}
    css = font_css("".join(sorted(glyphs))) + "\n" if glyphs else ""
    page = environment.get_template("page.html.j2").render(
        report=report,
        sections=sections,
        css=Markup(css + (HERE / "page.css").read_text()),
        numbers=Markup(numbers_json(sections)),
    )
    return page + "\n"


def numbers_json(sections: Mapping[str, Section]) -> str:
    """The numbers of all sections, as JSON that may stand within HTML."""
    numbers = {name: section.numbers for name, section in sections.items() if section.numbers}
    text = json.dumps(_plain(numbers), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    """Without what JSON has no word for: NaN and infinities are null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(of) for of in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _specs(report: Report, sections: Mapping[str, Section]) -> list[Any]:
    shown = [block.spec for section in sections.values() for block in section.blocks if isinstance(block, Matrix)]
    return [*shown, *(source.spec for source in report.sources if source.spec)]


def _markdown(text: str) -> Markup:
    html = _INLINE.renderInline(text)
    return Markup(_JAPANESE.sub(lambda found: f'<span lang="ja">{found[0]}</span>', html))


def _words(text: str) -> str:
    """Without marks, for an attribute."""
    return unescape(re.sub(r"<[^>]+>", "", _INLINE.renderInline(text)))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


def _numeric(table: Table) -> list[bool]:
    """Which columns hold numbers, and stand to the right."""
    columns = list(zip(*table.rows)) or [()] * len(table.header)
    return [
        place > 0 and bool(column) and all(_NUMBER.fullmatch(cell) for cell in column)
        for place, column in enumerate(columns)
    ]


def _shaded(matrix: Matrix) -> list[list[tuple[int, str, str]]]:
    """Each cell as its count, what it is, and how strong its shade is."""
    counts = matrix.counts
    errors = np.where(np.eye(len(counts), dtype=bool), 0, counts)
    worst, totals = max(int(errors.max()), 1), np.maximum(counts.sum(axis=1), 1)
    return [
        [
            (int(count), "hit", f"{count / totals[row]:.2f}")
            if row == column
            else (int(count), "miss", f"{max(count / worst, 0.04):.2f}")
            for column, count in enumerate(counts[row])
        ]
        for row in range(len(counts))
    ]
