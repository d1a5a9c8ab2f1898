"""From files of pictures to the form of the training images, some hundred at a time: the work of one process."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kmnist.data.spec import KMNIST, DataSpec
from kmnist.errors import KmnistError, PictureError
from kmnist.inference.forms import prepare_picture
from kmnist.inference.pictures import is_photograph
from kmnist.inference.small import NOTHING_DRAWN, prepare_small
from kmnist.pictures.read import Gray, read_file, read_picture
from kmnist.pictures.small_png import read_small_png
from kmnist.prediction.picture import Picture

AT_ONCE = 256  # pictures
AT_ONCE_BYTES = 8_000_000  # of their contents, where these are in memory
MOST_SMALL = 64 * 64  # pixels of a picture that waits for others of its size


@dataclass(frozen=True)
class Prepared:
    """N pictures, of which some cannot be read.

    Attributes:
        names: of the files, and the places in them.
        images: (N, H, W), in the form of the training images; black where there is none.
        errors: why, or nothing.
    """

    names: list[str]
    images: Gray
    errors: list[str]


def in_batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Some hundred at a time, fewer of those that are large."""
    batch: list[Picture] = []
    size = 0
    for picture in pictures:
        batch.append(picture)
        if isinstance(picture.item, bytes | np.ndarray):
            size += len(picture.item) if isinstance(picture.item, bytes) else picture.item.size
        if len(batch) == AT_ONCE or size > AT_ONCE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def prepare(
    batch: Sequence[Picture],
    spec: DataSpec,
    raw: bool,
    begins: Callable[[int], object] = lambda place: None,
) -> Prepared:
    """Read, decode and prepare.

    Args:
        batch: the pictures.
        spec: of the training images, whose form the pictures are brought into.
        raw: take pictures as they are: of their shape, and looking as they do.
        begins: is told the place of each picture in the batch before anything is done with it.
    """
    shape = spec.shape
    images = np.zeros((len(batch), *shape), np.uint8)
    errors = [""] * len(batch)
    small: dict[tuple[int, ...], list[tuple[int, Gray]]] = defaultdict(list)
    for place, picture in enumerate(batch):
        begins(place)
        try:
            levels = _levels(picture.item)
            if isinstance(picture.item, np.ndarray):
                _refuse_rows(levels, shape)
            many = spec.form.kind == KMNIST and not raw  # are prepared at once, where they are small
            if many and 0 < levels.size <= MOST_SMALL and not is_photograph(levels.shape, shape):
                small[levels.shape].append((place, levels))
            else:
                images[place] = prepare_picture(levels, spec, raw=raw)
        except (KmnistError, OSError, ValueError) as error:  # ValueError: a name with a null byte
            errors[place] = str(getattr(error, "strerror", None) or error)
    for alike in small.values():
        places = [place for place, _ in alike]
        images[places], drawn = prepare_small(np.stack([levels for _, levels in alike]), shape)
        for place in np.flatnonzero(~drawn).tolist():
            errors[places[place]] = NOTHING_DRAWN
    return Prepared([picture.name for picture in batch], images, errors)


def _levels(item: str | bytes | Gray | Exception) -> Gray:
    match item:
        case str():
            return _decode(read_file(item))
        case bytes():
            return _decode(item)
        case np.ndarray():
            return item
        case error:
            raise error


def _decode(content: bytes) -> Gray:
    levels = read_small_png(content)
    return read_picture(content) if levels is None else levels


def _refuse_rows(levels: Gray, shape: tuple[int, int]) -> None:
    """An array (N, H * W) is N pictures, and would look like one."""
    height, width = shape
    if levels.shape[1] == height * width and levels.shape != shape:
        raise PictureError(
            f"an array of shape {levels.shape}: looks like {len(levels):,} pictures of {height * width} pixels each; "
            f"save it as (N, {height}, {width}), or one picture as (1, H, W)"
        )
