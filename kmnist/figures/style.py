"""What all figures share: their style, their fonts, and how they become PNG bytes."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

from kmnist.fonts import font_path

P = ParamSpec("P")


def as_png(draw: Callable[P, Any]) -> Callable[P, bytes]:
    """Let a function that draws a matplotlib figure return it as PNG bytes, with a font that knows kana.

    Figures are made without pyplot: they belong to no global state and are freed when they are done.
    """

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> bytes:
        from matplotlib import font_manager, rc_context

        if "IPAexGothic" not in font_manager.fontManager.get_font_names():
            font_manager.fontManager.addfont(str(font_path()))
        style: dict[Any, Any] = {
            "font.family": ["DejaVu Sans", "IPAexGothic"],
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
        with rc_context(style):
            content = BytesIO()
            draw(*args, **kwargs).savefig(content, dpi=110)
        return content.getvalue()

    return wrapped


def figure_of(width: float, height: float, left: float, right: float, bottom: float, top: float, **gaps: float) -> Any:
    """A figure with margins given in inches; matplotlib's layout engines would draw everything twice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, **gaps)
    return figure
