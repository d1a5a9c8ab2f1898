"""``DataSpec``: what a data set is. It travels with the data, through checkpoint, run and model."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

MOST_SIDE, MOST_CLASSES = 4096, 10_000


@dataclass(frozen=True)
class ClassLabel:
    """What one class is called.

    Attributes:
        text: in Latin letters, unique in its data set: ``ki``.
        glyph: the character itself: ``き``; the text where there is none.
    """

    text: str
    glyph: str


@dataclass(frozen=True)
class DataSpec:
    """What a data set is.

    Attributes:
        name: it is asked for and registered by: ``kmnist``.
        title: as people write it: ``Kuzushiji-MNIST``.
        classes: what each class number stands for.
        shape: (H, W) of an image.
        digests: SHA-256 over all pixels and labels of its splits, by their names (``train``, ``test``).
        official: whether its images are those that were published under its name.
    """

    name: str
    title: str
    classes: tuple[ClassLabel, ...]
    shape: tuple[int, int] = (28, 28)
    digests: Mapping[str, str] = field(default_factory=dict)
    official: bool = False

    @property
    def names(self) -> list[str]:
        """Each class as number, text and glyph: ``1 ki き``."""
        return [f"{number} {self.words(number)}" for number in range(len(self.classes))]

    def words(self, number: int) -> str:
        """A class as text and glyph, ``ki き``; as its text where that is its glyph."""
        label = self.classes[number]
        return label.text if label.text == label.glyph else f"{label.text} {label.glyph}"

    def run_name(self, name: str) -> str:
        """The name of a run on these images: it says so where they are the drawn stand-in."""
        return f"SAMPLE {name}" if self.name == "sample" else name

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which :meth:`from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            if not 0 < len(values["classes"]) <= MOST_CLASSES:
                raise ValueError(f"{len(values['classes'])} classes")
            classes = tuple(ClassLabel(str(label["text"]), str(label["glyph"])) for label in values["classes"])
            height, width = map(int, values["shape"])
            if not 0 < height <= MOST_SIDE or not 0 < width <= MOST_SIDE:
                raise ValueError(f"images of {height} x {width}")
            digests = {str(name): str(digest) for name, digest in values["digests"].items()}
            name, title = str(values["name"]), str(values["title"])
            return cls(name, title, classes, (height, width), digests, bool(values["official"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the description of a data set ({type(error).__name__}: {error})") from None


def labels(texts: Iterable[str], glyphs: Iterable[str] | None = None) -> tuple[ClassLabel, ...]:
    """Class labels from their texts and, where they have some, their glyphs."""
    texts = list(texts)
    return tuple(ClassLabel(text, glyph) for text, glyph in zip(texts, glyphs or texts, strict=True))
