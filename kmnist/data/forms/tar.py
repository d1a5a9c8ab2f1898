"""An archive of a folder of pictures for each class."""

from collections.abc import Iterator
from pathlib import Path

from kmnist.data.forms.found import Found, Item, PicturePart, select
from kmnist.data.forms.places import arrange
from kmnist.data.images import Labels
from kmnist.errors import DataError, PictureError
from kmnist.pictures.skipped import Skipped
from kmnist.pictures.tars import is_tar, read_tar

FORM = "tar"
EXPECTS = "a .tar or .tar.gz file of such folders"


def find(path: Path) -> Found | None:
    """Pictures in folders of an archive. It is read twice: for the names, and then for the pictures."""
    if not is_tar(path.name) or not path.is_file():
        return None
    skipped = Skipped()
    try:
        names = [name for name, _ in read_tar(path, skipped)]
    except (PictureError, OSError) as error:
        raise DataError(f"{path}: {error}") from error
    names = [name.removeprefix("./") for name in names]
    visible = [place for place, name in enumerate(names) if not name.rpartition("/")[2].startswith(".")]
    if not visible:
        raise DataError(f"{path} holds no pictures; {skipped or 'it is empty'}")
    arranged = arrange([names[place].split("/")[:-1] for place in visible], str(path))
    notes = [str(skipped)] if str(skipped) else []
    if arranged.left_out:
        notes.append(f"left out {arranged.left_out:,} pictures that lie in no folder of a class")

    def items_of(places: list[int]) -> "_Members":
        return _Members(path, places)

    parts = {
        split: PicturePart(arranged.labels[split], items_of([visible[place] for place in places.tolist()]))
        for split, places in arranged.places.items()
    }
    return Found(FORM, dict(parts), path.parent / path.name.partition(".")[0], notes=tuple(notes))


class _Members:
    """The items of some members, by their places in the archive."""

    def __init__(self, path: Path, places: list[int]) -> None:
        self._path, self._places = path, places

    def __call__(self, chosen: Labels) -> Iterator[Item]:
        import numpy as np

        wanted = np.asarray(self._places, np.int64)[chosen]
        try:
            yield from select(
                ((f"{self._path}[{name}]", item) for name, item in read_tar(self._path, Skipped())), wanted
            )
        except PictureError as error:
            raise DataError(f"{self._path}: {error}") from error
