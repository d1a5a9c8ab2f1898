"""The characters that are shown as a font of their own: not every computer has Japanese letters, and all look alike."""

from io import BytesIO

from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont

from kmnist.data.spec import DataSpec
from kmnist.fonts import font_path


def font_of(spec: DataSpec) -> bytes:
    """A TrueType font of the glyphs of all classes: 5 kB for ten, where the whole font has 6 MB."""
    with TTFont(font_path(), lazy=True) as font:
        subsetter = Subsetter()
        subsetter.populate(text="".join(label.glyph for label in spec.classes))
        subsetter.subset(font)
        content = BytesIO()
        font.save(content)
    return content.getvalue()
