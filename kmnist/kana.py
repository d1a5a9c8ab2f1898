"""The ten classes of Kuzushiji-MNIST, and a font that can draw them.

Class order as published with the data set: https://github.com/rois-codh/kmnist
"""

from importlib.util import find_spec
from pathlib import Path

KANA = ("お", "き", "す", "つ", "な", "は", "ま", "や", "れ", "を")
ROMAJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CLASSES = len(KANA)


def font_path() -> Path:
    """Path of the Japanese TrueType font (IPAexGothic) that comes with ``matplotlib-fontja``.

    The package is located, not imported: importing it changes matplotlib's global settings.
    """
    spec = find_spec("matplotlib_fontja")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("matplotlib-fontja is missing: pip install matplotlib-fontja")
    return Path(spec.origin).parent / "fonts" / "ipaexg.ttf"
