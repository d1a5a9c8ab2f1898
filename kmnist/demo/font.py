"""The characters that are shown as a style sheet: not every computer has Japanese letters, and all look alike."""

from base64 import b64encode
from io import BytesIO

from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont

from kmnist.data.spec import DataSpec
from kmnist.fonts import font_path


def font_css(spec: DataSpec) -> str:
    """``@font-face`` for the family ``kana``: 5 kB instead of the whole font's 6 MB."""
    with TTFont(font_path(), lazy=True) as font:
        subsetter = Subsetter()
        subsetter.populate(text="".join(label.glyph for label in spec.classes))
        subsetter.subset(font)
        content = BytesIO()
        font.save(content)
    return (
        f"@font-face {{ font-family: kana; src: url(data:font/ttf;base64,{b64encode(content.getvalue()).decode()}) }}"
    )
