"""Every file below a folder, in an order that is the same each time."""

import os
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

from kmnist.pictures.formats import SUFFIXES
from kmnist.pictures.skipped import Skipped

MOST_SUFFIX = 12  # characters of a kind that is told
APPLE_DOUBLE, APPLE_FOLDER = "._", "__MACOSX"  # what macOS puts beside files on foreign disks and into archives
OF_MACOS = "that macOS adds"


def walk(folder: str, wanted: Callable[[str], bool], skipped: Skipped) -> Iterator[str | OSError]:
    """The paths of the wanted files: those of a folder by name, and then those of its folders by name.

    Only the names of one folder are in memory. A pipe or a device, on which one could wait for ever, is no file, and a
    link to a folder is not followed.

    Args:
        folder: where to begin; nothing is the current one, whose name no path begins with then.
        wanted: whether a file of this name is.
        skipped: is told of all others, and how many there are.

    Yields:
        A path, or why a folder cannot be read.
    """
    names: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder or os.curdir) as entries:
            for entry in entries:
                if entry.is_dir():
                    if entry.is_symlink():
                        skipped.add(entry.name, "links to folders")
                    elif entry.name != APPLE_FOLDER:
                        folders.append(entry.name)
                elif not entry.is_file():
                    skipped.add(entry.name, "that are no files")
                elif is_of_macos(entry.name):
                    skipped.add(entry.name, OF_MACOS)
                elif wanted(entry.name):
                    names.append(entry.name)
                else:
                    skipped.add(entry.name, kind_of(entry.name))
    except OSError as error:
        yield error
    skipped.listed += len(names)
    names.sort()
    for name in names:
        yield os.path.join(folder, name)  # noqa: PTH118 - a Path would take ten times as long
    del names
    for name in sorted(folders):
        yield from walk(os.path.join(folder, name), wanted, skipped)  # noqa: PTH118


def is_picture(name: str, skipped: Skipped) -> bool:
    """Whether a member of an archive is read as a picture; ``skipped`` is told of the others."""
    if is_of_macos(name):
        skipped.add(name, OF_MACOS)
    elif suffix(name) not in SUFFIXES:
        skipped.add(name, kind_of(name))
    else:
        return True
    return False


def kind_of(name: str) -> str:
    """What a file that is left out is told as."""
    return suffix(name)[:MOST_SUFFIX] or "without an ending"


def is_of_macos(path: str) -> bool:
    """Whether a file holds what macOS knows of another one: it has the name of a picture, and is none."""
    folder, _, name = path.rpartition("/")
    return name.startswith(APPLE_DOUBLE) or APPLE_FOLDER in folder.split("/")


def nearest(path: Path) -> Path | None:
    """Of a path at which nothing is, what lies there under the most similar name; looked for where folders end."""
    while not path.parent.exists():
        path = path.parent
    try:
        near = get_close_matches(path.name, os.listdir(path.parent), n=1)  # noqa: PTH208 - names only
    except OSError:
        near = []
    return path.with_name(near[0]) if near else None


def suffix(name: str) -> str:
    """As ``Path(name).suffix.lower()`` gives it, in a tenth of the time."""
    place = name.rfind(".")
    return name[place:].lower() if place > 0 else ""
