"""A data set by name or path."""

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from kmnist.data.download import Unreachable
from kmnist.data.images import Dataset
from kmnist.data.kmnist import files_like_ours, load_kmnist
from kmnist.data.kuzushiji49 import load_kuzushiji49
from kmnist.data.own import load_own
from kmnist.data.reading import Reading
from kmnist.data.sample import draw_dataset
from kmnist.errors import DataError

AUTO = "auto"
#: Name -> what loads it from a folder, showing progress or not.
DATASETS: dict[str, Callable[[Path, bool], Dataset]] = {
    "kmnist": lambda folder, progress: load_kmnist(folder, progress=progress),
    "kuzushiji49": lambda folder, progress: load_kuzushiji49(folder, progress=progress),
    "sample": lambda folder, progress: draw_dataset(),
}


def load_dataset(name: str, folder: Path, *, progress: bool = True, **reading: Unpack[Reading]) -> Dataset:
    """A data set by its name in ``DATASETS``, by the path of one of your own, or ``auto``.

    ``auto`` is Kuzushiji-MNIST where it can be had, else the drawn sample. A damaged file is an error in ``auto`` too,
    and so are files that look like the real set and are not: who has files wants them used.

    Args:
        name: of the data set, or a path of any form in ``kmnist.data.forms``.
        folder: where the files of a data set known by name are, or are fetched to.
        progress: show a progress bar while downloading.
        reading: how files of your own are read, see :class:`kmnist.data.reading.Reading`; for others without effect.

    Raises:
        DataError: it is not known, a file is damaged or cannot be had, or ``folder`` cannot be written.
    """
    if name == AUTO:
        try:
            return DATASETS["kmnist"](folder, progress)
        except Unreachable as error:
            if like := files_like_ours(folder):
                raise DataError(
                    f"{error}\nIn {folder} there are {', '.join(like[:8])}, which are not all of Kuzushiji-MNIST: to "
                    f"train on them, give --dataset {folder}"
                ) from error
            return DATASETS["sample"](folder, progress)
    if name in DATASETS:
        return DATASETS[name](folder, progress)
    if is_path(name):
        return load_own(Path(name), (AUTO, *DATASETS), **reading)
    raise DataError(
        f"dataset={name}: must be {AUTO}, {', '.join(DATASETS)}, or the path of a file or folder of your own"
    )


def is_path(name: str) -> bool:
    """Whether a data set is asked for by its path: it has a ``/`` in it, or there is such a file or folder."""
    try:
        return "/" in name or Path(name).exists()
    except (OSError, ValueError):
        return True
