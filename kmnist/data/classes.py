"""From the labels that files have to class numbers from 0 and what each stands for."""

import csv
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from kmnist.data.forms.found import TEST, TRAIN, LabelColumn, listed
from kmnist.data.images import Labels
from kmnist.data.spec import MOST_CLASSES, ClassLabel, labels
from kmnist.errors import DataError

FILE = "classes.csv"
CODE_POINT = re.compile(r"[Uu]\+([0-9A-Fa-f]{4,6})")
Classes = tuple[ClassLabel, ...]


def number_classes(
    columns: Mapping[str, LabelColumn], folder: Path, known: Classes | None, first_label: int
) -> tuple[Classes, dict[str, Labels], list[str]]:
    """Class labels, and for each split the numbers of its pictures' classes.

    Args:
        columns: of each split, numbers as the files have them, or names of classes.
        folder: where ``classes.csv`` may lie: a line a class, ``text`` or ``text,glyph``; it wins over ``known``.
        known: what the numbers stand for, where the files say it.
        first_label: the number of the first class; -1: 1 where the smallest is 1, else 0.

    Returns:
        The classes; the numbers of each split; and what is to be told: classes without pictures, numbers from 1.

    Raises:
        DataError: the labels are of no class, or there is one class only.
    """
    given = read_classes(folder) or known
    if any(isinstance(column, list) for column in columns.values()):
        classes, numbers, notes = _by_name(columns, given, folder)
    else:
        classes, numbers, notes = _by_number(columns, given, folder, first_label)
    if len(classes) < 2:
        raise DataError(f"{folder}: there is one class only, {classes[0].text}: a classifier needs two or more")
    return classes, numbers, [*notes, *_gaps(classes, numbers)]


def read_classes(folder: Path) -> Classes | None:
    """What ``classes.csv`` in a folder names, where there is one.

    Raises:
        DataError: it cannot be read, or names a class twice.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    texts = [row[0] for row in rows]
    if not 0 < len(rows) <= MOST_CLASSES or len(set(texts)) < len(texts) or not all(texts):
        raise DataError(
            f"{path} names {len(set(texts))} classes in {len(rows)} lines: must be a line `text` or `text,glyph` for "
            "each class, each text once"
        )
    return labels(texts, [row[1] if len(row) > 1 and row[1] else row[0] for row in rows])


def as_class(name: str) -> str:
    """A name as classes are compared: a code point (``U+304A``) as its character, put together."""
    if match := CODE_POINT.fullmatch(name.strip()):
        with suppress(ValueError, OverflowError):  # beyond U+10FFFF
            name = chr(int(match[1], 16))
    return unicodedata.normalize("NFC", name.strip())


def numbers_by_name(classes: Classes) -> dict[str, int]:
    """Every name of a class, by :func:`as_class`, -> its number: its text, else its glyph, else its number."""
    named = {str(number): number for number in range(len(classes))}
    named |= {as_class(label.glyph): number for number, label in enumerate(classes)}
    return named | {as_class(label.text): number for number, label in enumerate(classes)}


def _by_name(
    columns: Mapping[str, LabelColumn], given: Classes | None, folder: Path
) -> tuple[Classes, dict[str, Labels], list[str]]:
    texts = {split: [as_class(str(text)) for text in column] for split, column in columns.items()}
    found = {text for column in texts.values() for text in column}
    classes = given or labels(sorted(found, key=_in_order))
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{folder}: {len(classes):,} classes: at most {MOST_CLASSES:,} are taken")
    if "" in found:
        raise DataError(f"{folder}: a picture has an empty label")
    named = numbers_by_name(classes)
    if unknown := sorted(found - named.keys()):
        raise DataError(
            f"{folder / FILE} names {listed([label.text for label in classes])}, and not {listed(unknown)}, which are "
            "labels too: add a line for each"
        )
    return classes, {split: np.array([named[text] for text in column], np.int64) for split, column in texts.items()}, []


def _by_number(
    columns: Mapping[str, LabelColumn], given: Classes | None, folder: Path, first_label: int
) -> tuple[Classes, dict[str, Labels], list[str]]:
    arrays = {split: np.asarray(column, np.int64) for split, column in columns.items()}
    least = min(int(array.min()) for array in arrays.values())
    most = max(int(array.max()) for array in arrays.values())
    first, notes = first_label, []
    if first < 0:
        first = int(least == 1 and (given is None or most >= len(given)))
        if first:
            notes.append(f"labels go from 1 to {most}: the first class is 1 (--first-label 0 keeps a class 0)")
    if least < first:
        raise DataError(
            f"{folder}: labels go from {least} to {most}: none may be below --first-label {first}, the first class"
        )
    count = most - first + 1
    if count > MOST_CLASSES:
        raise DataError(
            f"{folder}: labels go from {least} to {most}: at most {MOST_CLASSES:,} classes; number them from 0"
        )
    if given is not None and count > len(given):
        raise DataError(
            f"{folder}: labels go up to {most}, and there are names of {len(given)} classes"
            f"{' in ' + FILE if (folder / FILE).is_file() else ''}: must be a line `text` or `text,glyph` for each of "
            f"{count} classes or more, each text once"
        )
    classes = given or labels(str(first + number) for number in range(count))
    return classes, {split: array - first for split, array in arrays.items()}, notes


def _gaps(classes: Classes, numbers: Mapping[str, Labels]) -> list[str]:
    """Classes without pictures, by name."""
    there = {split: set(np.unique(array).tolist()) for split, array in numbers.items()}
    everywhere = set().union(*there.values())
    notes = []
    if missing := [label.text for number, label in enumerate(classes) if number not in everywhere]:
        notes.append(f"no picture is of class {listed(missing)}")
    if {TRAIN, TEST} <= there.keys():
        for one, other in ((TEST, TRAIN), (TRAIN, TEST)):
            if only := [classes[number].text for number in sorted(there[one] - there[other])]:
                notes.append(f"in {one} only, not in {other}: class {listed(only)}")
    return notes


def _in_order(text: str) -> tuple[bool, int, str]:
    """Numbers by their values, before other names."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 10
    return not is_number, int(text) if is_number else 0, text
