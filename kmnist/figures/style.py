"""What all figures share: their style, their fonts, and how they become bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

from kmnist.fonts import font_path

P = ParamSpec("P")
#: Told apart by the colour-blind and, with their dashes, in grey. M. Okabe and K. Ito, "Color Universal Design" (2008).
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#333333")
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))


@dataclass(frozen=True)
class Drawing:
    """One figure in two forms; the same numbers give the same bytes.

    Attributes:
        svg: its text as outlines, so that it needs no font.
        png: for what shows no SVG.
    """

    svg: str
    png: bytes


def as_png(draw: Callable[P, Any]) -> Callable[P, bytes]:
    """Let a function that draws a matplotlib figure return it as PNG bytes, with a font that knows kana.

    Figures are made without pyplot: they belong to no global state and are freed when they are done.
    """

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> bytes:
        with _style():
            content = BytesIO()
            draw(*args, **kwargs).savefig(content, dpi=110)
        return content.getvalue()

    return wrapped


def render(draw: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Drawing:
    """A figure in both forms, from the function that draws it, decorated by :func:`as_png` or not."""
    plain: Callable[P, Any] = getattr(draw, "__wrapped__", draw)
    with _style():
        figure = plain(*args, **kwargs)
        svg, png = BytesIO(), BytesIO()
        tight: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.04}
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, **tight)
        figure.savefig(png, format="png", dpi=110, metadata={"Software": None}, **tight)
    return Drawing(svg.getvalue().decode(), png.getvalue())


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import font_manager, rc_context

    if "IPAexGothic" not in font_manager.fontManager.get_font_names():
        font_manager.fontManager.addfont(str(font_path()))
    style: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", "IPAexGothic"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "kmnist",  # else the names of parts are drawn by chance
    }
    with rc_context(style):
        yield


def figure_of(width: float, height: float, left: float, right: float, bottom: float, top: float, **gaps: float) -> Any:
    """A figure with margins given in inches; matplotlib's layout engines would draw everything twice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, **gaps)
    return figure
