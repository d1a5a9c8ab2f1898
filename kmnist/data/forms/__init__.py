"""The forms that people have data in. A form is a file here and a line in ``FORMS``.

A form's file has ``find(path)``, which gives what lies there as :class:`Found`, or nothing where it is of another form,
and ``EXPECTS``, which says in a few words what it takes. It raises ``DataError`` where files are of its form but
damaged, incomplete or more than one data set. ``find`` reads names and labels, and pixels only where these are arrays.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kmnist.data.forms import folders, idx, npz, parquet, pixel_csv, table, tar
from kmnist.data.forms.found import ArrayPart, Found, Part, PicturePart
from kmnist.errors import DataError
from kmnist.pictures.walk import nearest, suffix

__all__ = ["FORMS", "ArrayPart", "Form", "Found", "Part", "PicturePart", "find_form"]

MOST_LOOKED_AT = 10_000  # files, to say what lies there
KINDS = 6


@dataclass(frozen=True)
class Form:
    """One form.

    Attributes:
        find: gives what lies at a path; ``None``: something else.
        expects: what it takes, in a few words.
    """

    find: Callable[[Path], Found | None]
    expects: str


FORMS: dict[str, Form] = {
    idx.FORM: Form(idx.find, idx.EXPECTS),
    npz.FORM: Form(npz.find, npz.EXPECTS),
    pixel_csv.FORM: Form(pixel_csv.find, pixel_csv.EXPECTS),
    parquet.FORM: Form(parquet.find, parquet.EXPECTS),
    table.FORM: Form(table.find, table.EXPECTS),
    tar.FORM: Form(tar.find, tar.EXPECTS),
    folders.FORM: Form(folders.find, folders.EXPECTS),
}


def find_form(path: Path) -> Found:
    """What lies at a path, by the first form that knows it.

    Raises:
        DataError: none does, and the message says what lies there and what would be taken; or files are damaged.
    """
    try:
        for form in FORMS.values():
            if found := form.find(path):
                return found
        there = _what_is_there(path)
    except (OSError, ValueError) as error:  # a name that is too long, or has a null byte
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    taken = "\n  ".join(form.expects for form in FORMS.values())
    raise DataError(f"{path} is no data set: {there}. What is taken is\n  {taken}")


def _what_is_there(path: Path) -> str:
    if not path.exists():
        near = nearest(path) if path.parent.is_dir() else None
        return "there is no such file or folder" + (f"; did you mean {near}?" if near else "")
    if path.is_file():
        return f"it is a file of {path.stat().st_size:,} bytes{_begins(path)}"
    kinds: Counter[str] = Counter()
    for _, _, names in os.walk(path):
        kinds.update(suffix(name) or name for name in names)
        if kinds.total() > MOST_LOOKED_AT:
            break
    if not kinds:
        return "the folder is empty"
    told = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(KINDS))
    return f"it holds {told}{', ...' if len(kinds) > KINDS else ''}"


def _begins(path: Path) -> str:
    with path.open("rb") as file:
        begin = file.read(8)
    known = {
        b"PK\x03\x04": "a zip archive",
        b"Rar!": "a RAR archive",
        b"7z\xbc\xaf": "a 7z archive",
        b"\x1f\x8b": "gzip",
    }
    return next(
        (f", {what}: unpack it, and name the folder" for magic, what in known.items() if begin.startswith(magic)), ""
    )
