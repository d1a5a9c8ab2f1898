"""Many files of pictures as one array, decoded in as many processes as pay, in little more memory than the array."""

import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from kmnist.cores import available_cores
from kmnist.data.forms.found import Item, Read
from kmnist.data.pixels import check_range, size_of
from kmnist.data.reading import FULL_INK, Reading
from kmnist.errors import DataError, KmnistError, in_one_line
from kmnist.pictures.read import COLOURED, Gray, quiet_decoders, read_file, read_with_mode, resized
from kmnist.pictures.small_png import read_small_png

BATCH = 512  # pictures that a process is handed at once
WORTH = 4.0  # seconds of work that must be left, or more processes take longer to start than they save
SHOWN = 4  # sizes, in a message

_Answer = tuple[Gray | None, bool, str]  # levels (H, W), whether it was in colour; why there is none


def read_items(items: Iterable[Item], count: int, reading: Reading) -> Read:
    """Decode pictures; those that cannot be are left out.

    Args:
        items: their names, and where each is.
        count: how many there are.
        reading: how.

    Raises:
        DataError: they are of several sizes, or none can be read.
    """
    size, transpose = size_of(reading), reading.get("transpose", False)
    pixels: Gray | None = None
    sizes: Counter[tuple[int, ...]] = Counter()
    kept: list[int] = []
    unread: list[tuple[str, str]] = []
    coloured = 0
    for place, (name, (levels, in_colour, why)) in enumerate(_decoded(items, count, size, transpose)):
        if levels is None:
            unread.append((name, why))
            continue
        sizes[levels.shape] += 1
        if pixels is None:
            pixels = np.empty((count, *levels.shape), np.uint8)
        if levels.shape == pixels.shape[1:]:
            pixels[len(kept)] = levels
        kept.append(place)
        coloured += in_colour
    if pixels is None:
        first = f"; the first: {unread[0][0]}: {unread[0][1]}" if unread else ""
        raise DataError(f"none of {count:,} pictures can be read{first}")
    if len(sizes) > 1:
        told = ", ".join(f"{number:,} of {w} x {h}" for (h, w), number in sizes.most_common(SHOWN))
        height, width = sizes.most_common(1)[0][0]
        more = ", ..." if len(sizes) > SHOWN else ""
        raise DataError(
            f"the pictures have {len(sizes)} sizes ({told}{more} pixels): a network takes one; give --resize H,W to "
            f"bring them to it, for example --resize {height},{width}"
        )
    pixels = pixels[: len(kept)]
    pixel_max = reading.get("pixel_max", FULL_INK)
    check_range(float(pixels.min()), float(pixels.max()), pixel_max, "pictures")
    if pixel_max != FULL_INK:
        scale = np.rint(np.arange(256) * (FULL_INK / pixel_max)).clip(0, 255).astype(np.uint8)
        for at in range(0, len(pixels), BATCH):
            pixels[at : at + BATCH] = scale[pixels[at : at + BATCH]]
    return Read(pixels, np.asarray(kept, np.int64), unread, coloured)


def _decoded(
    items: Iterable[Item], count: int, size: tuple[int, int] | None, transpose: bool
) -> Iterator[tuple[str, _Answer]]:
    batches = _batches(iter(items))
    done, began = 0, time.process_time()
    for names, batch in batches:
        yield from zip(names, _decode(batch, size, transpose))
        done += len(names)
        left = (time.process_time() - began) / done * (count - done)
        if left > WORTH and (workers := available_cores()) > 1:
            break
    else:
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    asked: list[list[str]] = []

    def told() -> Iterator[list[str | bytes | Gray | Exception]]:
        for some, batch in batches:
            asked.append(some)
            yield batch

    # Not forked or spawned from this program's file, which may be a script without a guard.
    parallel = Parallel(n_jobs=workers, return_as="generator", batch_size=1, pre_dispatch="2*n_jobs")
    try:
        for answers in parallel(delayed(_decode)(batch, size, transpose) for batch in told()):
            yield from zip(asked.pop(0), answers)
    except TerminatedWorkerError as error:
        near = asked[0][0] if asked else "one of the last"
        raise DataError(f"a process that decodes pictures ended, near {near} ({in_one_line(error)[:200]})") from None


def _batches(items: Iterator[Item]) -> Iterator[tuple[list[str], list[str | bytes | Gray | Exception]]]:
    for first in items:
        some = [first, *islice(items, BATCH - 1)]
        yield [name for name, _ in some], [item for _, item in some]


def _decode(
    batch: list[str | bytes | Gray | Exception], size: tuple[int, int] | None, transpose: bool
) -> list[_Answer]:
    with warnings.catch_warnings():
        quiet_decoders()
        return [_decode_one(item, size, transpose) for item in batch]


def _decode_one(item: str | bytes | Gray | Exception, size: tuple[int, int] | None, transpose: bool) -> _Answer:
    try:
        if isinstance(item, Exception):
            raise item
        if isinstance(item, np.ndarray):
            levels, mode = item, "L"
        else:
            content = read_file(item) if isinstance(item, str) else item
            small = read_small_png(content)
            levels, mode = read_with_mode(content) if small is None else (small, "L")
        if transpose:
            levels = np.ascontiguousarray(levels.T)
        return resized(levels, size) if size else levels, mode in COLOURED, ""
    except (KmnistError, OSError, ValueError) as error:  # ValueError: a name with a null byte
        return None, False, str(getattr(error, "strerror", None) or error)
