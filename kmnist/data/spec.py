"""``DataSpec``: what a data set is. It travels with the data, through checkpoint, run and model."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

MOST_SIDE, MOST_CLASSES = 4096, 10_000
KMNIST, INK, WHOLE_PICTURE = "kmnist", "ink", "none"  # kinds of PictureForm
MOST_WORDS = 200  # characters of what a form is


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
class PictureForm:
    """How a picture becomes an input that looks as the training images do.

    Attributes:
        kind: ``kmnist``: light ink on dark that fills the frame; ``ink``: as the other attributes say; ``none``: the
            whole picture, only resized, as for photographs of things.
        dark_ink: whether ink is darker than paper.
        share: of the frame, that the longer side of the ink fills.
        least_share: the same, of all but one in 200 of the training images.
        by_mass: whether the ink's centre of mass is in the middle of the frame; else the middle of its box is.
    """

    kind: str = KMNIST
    dark_ink: bool = False
    share: float = 1.0
    least_share: float = 0.0
    by_mass: bool = False

    def __str__(self) -> str:
        """In words, for a person."""
        if self.kind == WHOLE_PICTURE:
            return "whole pictures, only resized"
        if self.kind == KMNIST:
            return "light ink on dark that fills the frame, as in KMNIST"
        colours = "dark ink on light" if self.dark_ink else "light ink on dark"
        middle = "its centre of mass" if self.by_mass else "its box"
        return f"{colours} that fills {self.share:.0%} of the frame, with {middle} in the middle"

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what ``dataclasses.asdict`` gave; nothing stands for KMNIST's form, as in models of before.

        Raises:
            ValueError: it is something else.
        """
        if values is None:
            return cls()
        kind, share, least = values["kind"], float(values["share"]), float(values["least_share"])
        if kind not in (KMNIST, INK, WHOLE_PICTURE) or not (0 < share <= 1 and 0 <= least <= 1):
            raise ValueError(f"pictures of form {str(kind)[:MOST_WORDS]!r}, share {share}, least {least}")
        return cls(kind, bool(values["dark_ink"]), share, least, bool(values["by_mass"]))


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
        form: how pictures are made to look as its images do.
    """

    name: str
    title: str
    classes: tuple[ClassLabel, ...]
    shape: tuple[int, int] = (28, 28)
    digests: Mapping[str, str] = field(default_factory=dict)
    official: bool = False
    form: PictureForm = PictureForm()

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
            form = PictureForm.from_json(values.get("form"))
            name, title = str(values["name"]), str(values["title"])
            return cls(name, title, classes, (height, width), digests, bool(values["official"]), form)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the description of a data set ({type(error).__name__}: {error})") from None


def labels(texts: Iterable[str], glyphs: Iterable[str] | None = None) -> tuple[ClassLabel, ...]:
    """Class labels from their texts and, where they have some, their glyphs."""
    texts = list(texts)
    return tuple(ClassLabel(text, glyph) for text, glyph in zip(texts, glyphs or texts, strict=True))
