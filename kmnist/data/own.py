"""A data set of one's own, of any form in ``kmnist.data.forms``: ``dataset=PATH``."""

import re
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from kmnist.data.classes import number_classes
from kmnist.data.form import AUTO, learn_form
from kmnist.data.forms import ArrayPart, Found, find_form
from kmnist.data.forms.found import TEST, TRAIN, VALID, WHOLE, Part, Read
from kmnist.data.images import Dataset, Images, Labels
from kmnist.data.reading import TEST_FRACTION, Reading
from kmnist.data.spec import WHOLE_PICTURE, DataSpec, PictureForm
from kmnist.errors import DataError

SUFFIXES = re.compile(r"(\.tar|\.csv)?\.(tgz|tar|gz|csv|npz|parquet)$", re.IGNORECASE)


def load_own(path: Path, others: Collection[str], **reading: Unpack[Reading]) -> Dataset:
    """The data set at a path; its name is that of the folder or file.

    Args:
        path: of a file or folder, see ``kmnist.data.forms``.
        others: names that it must not have, because other data sets have them.
        reading: see :class:`kmnist.data.reading.Reading`.

    Raises:
        DataError: it is of no form that is read, incomplete or damaged, or its labels are of no class.
    """
    found = find_form(path)
    parts, notes = _train_and_test(found.parts, path)
    columns = {split: part.labels for split, part in parts.items()}
    classes, numbers, told = number_classes(columns, found.folder, found.classes, reading.get("first_label", -1))
    notes = [*found.notes, *notes, *told]
    read: dict[str, tuple[Read, Labels]] = {}
    if WHOLE in parts:
        train, test = _divide(numbers[WHOLE], path, reading)
        notes.append(
            f"there is no test split: {len(test):,} of {len(numbers[WHOLE]):,} pictures, drawn with "
            f"--test-seed {reading.get('test_seed', 0)}, are kept for it"
        )
        for split, (chosen, pixels) in _read_divided(parts[WHOLE], train, test, reading).items():
            read[split] = pixels, numbers[WHOLE][chosen[pixels.kept]]
    else:
        for split, part in parts.items():
            pixels = part.read(np.arange(len(part)), reading)
            read[split] = pixels, numbers[split][pixels.kept]
    images = {split: Images(pixels.pixels, labels) for split, (pixels, labels) in read.items()}
    notes += _told(read)
    name = name_of(found, path)
    form = _form(images[TRAIN].pixels, reading)
    notes.append(f"a picture is made to look like the training images: {form}")
    spec = DataSpec(_name(name, others), name, classes, _shape(images, path), form=form)
    try:
        return Dataset.build(spec, str(path.resolve()), images[TRAIN], images[TEST], notes=tuple(notes))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def name_of(found: Found, path: Path) -> str:
    """What the data set at a path is called."""
    return found.name or SUFFIXES.sub("", path.resolve().name)


def _train_and_test(parts: dict[str, Part], path: Path) -> tuple[dict[str, Part], list[str]]:
    """Without a split for validation, which a training makes itself."""
    parts = {split: part for split, part in parts.items() if len(part)}
    if not parts:
        raise DataError(f"{path}: there are no pictures")
    if WHOLE in parts:
        return parts, []
    if TRAIN not in parts:
        raise DataError(f"{path}: there are pictures to test with, and none to train on: put them into train")
    if VALID not in parts:
        return (parts, []) if TEST in parts else ({WHOLE: parts[TRAIN]}, [])
    if TEST not in parts:
        return {TRAIN: parts[TRAIN], TEST: parts[VALID]}, [
            "there is no test split: that for validation is taken for it"
        ]
    joined = JoinedPart((parts[TRAIN], parts[VALID]))
    note = "the pictures for validation count as training pictures: --valid-fraction says how many are kept of all"
    return {TRAIN: joined, TEST: parts[TEST]}, [note]


class JoinedPart(Part):
    """Two parts, one after the other."""

    def __init__(self, parts: tuple[Part, Part]) -> None:
        self._parts = parts
        one, other = (part.labels for part in parts)
        both = isinstance(one, list) and isinstance(other, list)
        self.labels = [*one, *other] if both else np.concatenate([np.asarray(one), np.asarray(other)])

    def read(self, chosen: Labels, reading: Reading) -> Read:
        """See :class:`Part`."""
        first = len(self._parts[0])
        one = self._parts[0].read(chosen[chosen < first], reading)
        other = self._parts[1].read(chosen[chosen >= first] - first, reading)
        if one.pixels.shape[1:] != other.pixels.shape[1:]:
            raise DataError(
                f"pictures of {one.pixels.shape[1:]} to train on and of {other.pixels.shape[1:]} for validation: "
                "give --resize H,W"
            )
        kept = np.concatenate([one.kept, other.kept + int((chosen < first).sum())])
        pixels = np.concatenate([one.pixels, other.pixels])
        return Read(pixels, kept, one.unread + other.unread, one.coloured + other.coloured)


def _divide(numbers: Labels, path: Path, reading: Reading) -> tuple[Labels, Labels]:
    """Where training and test pictures are, with the same share of each class in both."""
    from sklearn.model_selection import train_test_split  # late: it takes a second to import

    fraction, seed = reading.get("test_fraction", TEST_FRACTION), reading.get("test_seed", 0)
    try:
        train, test = train_test_split(np.arange(len(numbers)), test_size=fraction, random_state=seed, stratify=numbers)
    except ValueError as error:
        raise DataError(
            f"{path} has no test split, and --test-fraction {fraction:g} of its {len(numbers):,} pictures cannot be "
            f"kept for one ({error})"
        ) from error
    return np.sort(train), np.sort(test)


def _read_divided(part: Part, train: Labels, test: Labels, reading: Reading) -> dict[str, tuple[Labels, Read]]:
    if not isinstance(part, ArrayPart):
        return {split: (chosen, part.read(chosen, reading)) for split, chosen in ((TRAIN, train), (TEST, test))}
    whole = part.read(np.arange(len(part)), reading)
    coloured = [len(chosen) if whole.coloured else 0 for chosen in (train, test)]
    kept_for_test = whole.pixels[test]
    pixels = whole.pixels if whole.pixels.flags.writeable else whole.pixels.copy()
    _move_to_front(pixels, train)
    return {
        TRAIN: (train, Read(pixels[: len(train)], np.arange(len(train)), [], coloured[0])),
        TEST: (test, Read(kept_for_test, np.arange(len(test)), [], coloured[1])),
    }


def _move_to_front(pixels: NDArray[np.uint8], chosen: Labels, at_once: int = 1_024) -> None:
    """In place: a copy would take as much memory again. ``chosen`` is sorted, so nothing needed is overwritten."""
    for at in range(0, len(chosen), at_once):
        pixels[at : at + at_once][: len(chosen) - at] = pixels[chosen[at : at + at_once]]


def _told(read: dict[str, tuple[Read, Labels]]) -> list[str]:
    unread = list(chain(*(found.unread for found, _ in read.values())))
    coloured = sum(found.coloured for found, _ in read.values())
    notes = [f"{coloured:,} pictures are in colour: they are made gray"] if coloured else []
    if unread:
        notes.append(
            f"left out {len(unread):,} pictures that cannot be read; the first: {unread[0][0]}: {unread[0][1]}"
        )
    return notes


def _form(pixels: NDArray[np.uint8], reading: Reading) -> PictureForm:
    """Learnt, where nothing else is asked for; pictures that were resized whole are resized whole later, too."""
    kind = reading.get("prepare", AUTO)
    return learn_form(pixels, WHOLE_PICTURE if kind == AUTO and reading.get("resize") else kind)


def _shape(images: dict[str, Images], path: Path) -> tuple[int, int]:
    height, width = images[TRAIN].pixels.shape[1:]
    if images[TEST].pixels.shape[1:] != (height, width):
        other = images[TEST].pixels.shape[1:]
        raise DataError(
            f"{path}: training pictures of {width} x {height} pixels and test pictures of {other[1]} x {other[0]}: a "
            f"network takes one size; give --resize {height},{width}"
        )
    return height, width


def _name(name: str, others: Collection[str]) -> str:
    """As it can stand in a registry and on a command line, and never that of another data set."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{plain}-folder" if not plain or plain in others else plain
