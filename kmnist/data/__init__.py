"""Data sets as arrays in memory, each with a ``DataSpec`` that says what it is. Knows no model, device or setting.

``spec`` and ``images`` are the values, ``idx`` and ``download`` the means, ``split`` cuts off the validation images.
One file a data set: ``kmnist``, ``kuzushiji49``, ``sample`` (drawn), ``folder`` (any four IDX files). ``load`` finds
one by name. To add a data set: a file here and a line in ``load.DATASETS``.
"""

from kmnist.data.images import Dataset, Images, Labels, Pixels, TrainingData
from kmnist.data.load import DATASETS, load_dataset
from kmnist.data.spec import ClassLabel, DataSpec
from kmnist.data.split import bootstrap_indices, fold_indices, held_out_indices, split, split_indices

__all__ = [
    "DATASETS",
    "ClassLabel",
    "DataSpec",
    "Dataset",
    "Images",
    "Labels",
    "Pixels",
    "TrainingData",
    "bootstrap_indices",
    "fold_indices",
    "held_out_indices",
    "load_dataset",
    "split",
    "split_indices",
]
