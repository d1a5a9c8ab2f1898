"""A font that can draw kana."""

from base64 import b64encode
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path


def font_path() -> Path:
    """Path of the Japanese TrueType font (IPAexGothic) that comes with ``matplotlib-fontja``.

    The package is located, not imported: importing it changes matplotlib's global settings.
    """
    spec = find_spec("matplotlib_fontja")
    assert spec is not None, "every extra that draws letters brings it"
    assert spec.origin is not None
    return Path(spec.origin).parent / "fonts" / "ipaexg.ttf"


def font_of(characters: str) -> bytes:
    """A TrueType font of these characters alone: 5 kB for ten, where the whole font has 6 MB.

    Not every computer has Japanese letters, and on those that have, they do not look alike.
    """
    from fontTools.subset import Subsetter  # comes with matplotlib
    from fontTools.ttLib import TTFont

    with TTFont(font_path(), lazy=True, recalcTimestamp=False) as font:  # the same bytes at any time
        subsetter = Subsetter()
        subsetter.populate(text=characters)
        subsetter.subset(font)
        content = BytesIO()
        font.save(content)
    return content.getvalue()


def font_css(characters: str) -> str:
    """``@font-face`` for the family ``kana`` with these characters, within the text."""
    encoded = b64encode(font_of(characters)).decode()
    return f"@font-face {{ font-family: kana; src: url(data:font/ttf;base64,{encoded}) }}"
