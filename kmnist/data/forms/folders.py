"""A folder of pictures for each class."""

import os
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

from kmnist.data.forms.found import Found, Item, PicturePart
from kmnist.data.forms.places import arrange
from kmnist.data.images import Labels
from kmnist.errors import DataError
from kmnist.pictures.formats import SUFFIXES
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.walk import suffix, walk

FORM = "folders"
EXPECTS = "a folder for each class, with its pictures in it; or train and test (or valid) with such folders in them"
HIDDEN = "."  # with which names begin that are no pictures: macOS writes ._a.png beside a.png


def find(path: Path) -> Found | None:
    """Pictures in folders, if there are some."""
    if not path.is_dir():
        return None
    skipped = Skipped()
    root = str(path)
    paths: list[str] = []
    for found in walk(root, _is_picture, skipped):
        if isinstance(found, OSError):
            raise DataError(f"{found.filename} cannot be read ({found.strerror}), but may hold pictures")
        paths.append(found)
    if not paths:
        return None
    parents = [os.path.dirname(found) for found in paths]  # noqa: PTH120 - a Path would take ten times as long
    inside = {parent: Path(parent).relative_to(root).parts for parent in set(parents)}
    # Hidden folders are those of programs: .git, .ipynb_checkpoints, .thumbnails.
    shown = [not any(part.startswith(HIDDEN) for part in inside[parent]) for parent in parents]
    paths, parents = list(compress(paths, shown)), list(compress(parents, shown))
    if not paths:
        return None
    arranged = arrange([inside[parent] for parent in parents], str(path))
    notes = [str(skipped)] if str(skipped) else []
    if arranged.left_out:
        notes.append(f"left out {arranged.left_out:,} pictures that lie in no folder of a class")
    parts = {
        split: PicturePart(arranged.labels[split], _of([paths[place] for place in places.tolist()], root))
        for split, places in arranged.places.items()
    }
    return Found(FORM, dict(parts), path, notes=tuple(notes))


def _is_picture(name: str) -> bool:
    return suffix(name) in SUFFIXES and not name.startswith(HIDDEN)


class _of:
    """The items of some paths."""

    def __init__(self, paths: list[str], root: str) -> None:
        self._paths, self._root = paths, root

    def __call__(self, chosen: Labels) -> Iterator[Item]:
        for place in chosen.tolist():
            path = self._paths[place]
            yield path, path
