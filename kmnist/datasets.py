"""A data set by name. To add one: its name in ``TrainConfig.dataset`` and a case here."""

from pathlib import Path
from typing import Literal

from kmnist.data import Dataset, Unreachable, load_kmnist
from kmnist.sample import draw_dataset


def load_dataset(name: Literal["auto", "kmnist", "sample"], folder: Path, *, progress: bool = True) -> Dataset:
    """``kmnist`` from ``folder`` (or fetched into it), the drawn ``sample``, or ``auto``: the first that can be had.

    A damaged file is an error in ``auto`` too: who has files wants them used.

    Raises:
        DataError: a file is damaged, ``folder`` cannot be written, or (``kmnist``) the files cannot be had.
    """
    if name == "sample":
        return draw_dataset()
    try:
        return load_kmnist(folder, progress=progress)
    except Unreachable:
        if name == "kmnist":
            raise
        return draw_dataset()
