"""Which split and which class a picture is of, by the folders that it lies in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmnist.data.forms.found import WHOLE, listed, of_split
from kmnist.data.images import Labels
from kmnist.errors import DataError


@dataclass(frozen=True)
class Arranged:
    """Pictures by their splits.

    Attributes:
        places: of each split, where its pictures are among all.
        labels: of each split, the folders' names that are the classes.
        left_out: how many lie in no folder of a class.
    """

    places: dict[str, Labels]
    labels: dict[str, list[str]]
    left_out: int


def arrange(folders: Sequence[Sequence[str]], where: str) -> Arranged:
    """Sort pictures by the names of the folders that they lie in.

    Folders that all of them lie in are passed over; then come ``train`` and ``test`` (or ``training``, ``testing``,
    ``valid``), where they are, then the class. What lies deeper is of the same class.

    Args:
        folders: of each picture, from the outermost to its own.
        where: the folder or archive, for messages.

    Raises:
        DataError: there are no folders of classes, or folders of splits beside others.
    """
    depth = _shared(folders)
    first = {names[depth] for names in folders if len(names) > depth}
    splits = {name: of_split(name) for name in first}
    if any(splits.values()):
        others = sorted(name for name, split in splits.items() if split is None)
        if others and len(others) < len(first):
            raise DataError(
                f"{where}: beside {listed(sorted(name for name in first if splits[name]))} there are folders that are "
                f"of neither: {listed(others)}; a data set has a folder for each class, or train and test with these in"
            )
        at = depth + 1
    else:
        at, splits = depth, {}
    places: dict[str, list[int]] = {}
    labels: dict[str, list[str]] = {}
    left_out = 0
    for place, names in enumerate(folders):
        if len(names) <= at:
            left_out += 1
            continue
        split = splits.get(names[depth]) or WHOLE
        places.setdefault(split, []).append(place)
        labels.setdefault(split, []).append(names[at])
    if not places:
        raise DataError(f"{where}: its {left_out:,} pictures lie in no folder of a class; {EXPECTED}")
    return Arranged({split: np.asarray(found, np.int64) for split, found in places.items()}, labels, left_out)


EXPECTED = "must be a folder for each class, with its pictures in it, or train and test with such folders in them"


def _shared(folders: Sequence[Sequence[str]]) -> int:
    """How many folders hold all pictures, but for a class or a split."""
    depth = 0
    while True:
        names = {tuple(names[: depth + 1]) for names in folders if len(names) > depth}
        deeper = any(len(found) > depth + 1 for found in folders)
        if len(names) != 1 or not deeper or of_split(next(iter(names))[-1]):
            return depth
        depth += 1
