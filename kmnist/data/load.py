"""A data set by name."""

from collections.abc import Callable
from pathlib import Path

from kmnist.data.download import Unreachable
from kmnist.data.folder import load_folder
from kmnist.data.images import Dataset
from kmnist.data.kmnist import load_kmnist
from kmnist.data.kuzushiji49 import load_kuzushiji49
from kmnist.data.sample import draw_dataset
from kmnist.errors import DataError

AUTO = "auto"
#: Name -> what loads it from a folder, showing progress or not.
DATASETS: dict[str, Callable[[Path, bool], Dataset]] = {
    "kmnist": lambda folder, progress: load_kmnist(folder, progress=progress),
    "kuzushiji49": lambda folder, progress: load_kuzushiji49(folder, progress=progress),
    "sample": lambda folder, progress: draw_dataset(),
}


def load_dataset(name: str, folder: Path, *, progress: bool = True) -> Dataset:
    """A data set by its name in ``DATASETS``, by the path of a folder of four IDX files, or ``auto``.

    ``auto`` is Kuzushiji-MNIST where it can be had, else the drawn sample. A damaged file is an error in ``auto`` too:
    who has files wants them used.

    Args:
        name: of the data set, or a path: what has a ``/`` in it, or is a folder.
        folder: where the files of a data set known by name are, or are fetched to.
        progress: show a progress bar while downloading.

    Raises:
        DataError: it is not known, a file is damaged or cannot be had, or ``folder`` cannot be written.
    """
    if name == AUTO:
        try:
            return DATASETS["kmnist"](folder, progress)
        except Unreachable:
            return DATASETS["sample"](folder, progress)
    if name in DATASETS:
        return DATASETS[name](folder, progress)
    if Path(name).is_dir():
        return load_folder(Path(name), (AUTO, *DATASETS))
    raise DataError(f"dataset={name}: must be {AUTO}, {', '.join(DATASETS)}, or the path of a folder of four IDX files")
