"""Data sets as arrays in memory, each with a ``DataSpec`` that says what it is. Knows no model, device or setting.

``spec`` and ``images`` are the values, ``split`` cuts off the validation images. One file a data set known by name:
``kmnist``, ``kuzushiji49``, ``sample`` (drawn). ``own`` loads any other from its path; ``forms`` has a reader for each
form that people have data in. ``load`` finds one by name or path. To add a data set: a file here and a line in
``load.DATASETS``. To add a form: a file in ``forms`` and a line in ``forms.FORMS``.
"""

from kmnist.data.images import Dataset, Images, Labels, Pixels, TrainingData
from kmnist.data.load import DATASETS, load_dataset
from kmnist.data.reading import Reading
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
    "Reading",
    "TrainingData",
    "bootstrap_indices",
    "fold_indices",
    "held_out_indices",
    "load_dataset",
    "split",
    "split_indices",
]
