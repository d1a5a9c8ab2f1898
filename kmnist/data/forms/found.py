"""What a reader finds at a path: splits of arrays or of pictures, with their labels, before any pixel is looked at."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kmnist.data.images import Labels, Pixels
from kmnist.data.pixels import as_pictures, in_order, to_gray_bytes
from kmnist.data.reading import Reading
from kmnist.data.spec import ClassLabel
from kmnist.pictures.read import Gray

TRAIN, VALID, TEST, WHOLE = "train", "valid", "test", "all"
#: What folders and files of a split are called.
SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("valid", "validation", "val", "dev"), VALID),
    **dict.fromkeys(("test", "testing", "tst", "t10k", "t60k"), TEST),
}
#: One picture of a file or archive: its name; and its path, its content, or why there is none.
Item: TypeAlias = tuple[str, str | bytes | Gray | Exception]
LabelColumn: TypeAlias = "npt.NDArray[np.int64] | list[str]"


@dataclass(frozen=True)
class Read:
    """The pixels of a part.

    Attributes:
        pixels: uint8 (N, H, W).
        kept: where the N are among those that were asked for; some pictures cannot be read.
        unread: of these the name, and why.
        coloured: how many of the N were in colour.
    """

    pixels: Pixels
    kept: Labels
    unread: list[tuple[str, str]] = field(default_factory=list)
    coloured: int = 0


class Part(ABC):
    """One split as it lies in files.

    Attributes:
        labels: int64 (N,), as the files number the classes; or N names of classes.
    """

    labels: LabelColumn

    @abstractmethod
    def read(self, chosen: Labels, reading: Reading) -> Read:
        """The pixels of those that are chosen, by their places in ``labels``, in order.

        Raises:
            DataError: they are no pictures of one size, or none can be read.
        """

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ArrayPart(Part):
    """Pictures in an array.

    Attributes:
        array: (N, H, W), (N, H, W, 1 or 3), (N, 1 or 3, H, W), or (N, H * W) of square pictures; numbers.
        labels: see the class above.
        source: the file, and the array in it.
    """

    array: npt.NDArray[Any]
    labels: LabelColumn
    source: str

    def read(self, chosen: Labels, reading: Reading) -> Read:
        """See the class above. All of them are read without a copy, if they are unsigned bytes."""
        pictures = as_pictures(self.array, self.source)
        coloured = len(chosen) if pictures.ndim == 4 else 0
        pixels = to_gray_bytes(pictures, chosen, reading.get("pixel_max", 255.0), self.source)
        return Read(in_order(pixels, reading), np.arange(len(chosen)), [], coloured)


@dataclass(frozen=True)
class PicturePart(Part):
    """Pictures in files of their own, in an archive or in a table.

    Attributes:
        labels: see the class above.
        items: gives the pictures that are chosen, by their places in ``labels``, in order.
    """

    labels: LabelColumn
    items: Callable[[Labels], Iterator[Item]]

    def read(self, chosen: Labels, reading: Reading) -> Read:
        """See the class above."""
        from kmnist.data.decoded import read_items

        return read_items(self.items(chosen), len(chosen), reading)


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        form: the name of the reader.
        parts: by TRAIN, VALID and TEST; or WHOLE.
        folder: where ``classes.csv`` may lie.
        classes: what the numbers in ``labels`` stand for, where the files say it.
        notes: what is to be told about it: what was left out, which array was taken.
        name: of the data set; empty: that of the path.
    """

    form: str
    parts: dict[str, Part]
    folder: Path
    classes: tuple[ClassLabel, ...] | None = None
    notes: tuple[str, ...] = ()
    name: str = ""


def select(items: Iterator[Item], chosen: Labels) -> Iterator[Item]:
    """Of a stream, those at some places, in order."""
    wanted = iter(chosen.tolist())
    place = next(wanted, None)
    for number, item in enumerate(items):
        if number == place:
            yield item
            place = next(wanted, None)
            if place is None:
                return


def of_split(name: str) -> str | None:
    """The split that a folder or file of this name is of."""
    return SPLITS.get(name.lower())


def listed(names: Sequence[str], most: int = 8) -> str:
    """Some names for a message, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
