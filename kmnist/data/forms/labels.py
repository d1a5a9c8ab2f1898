"""A column of labels, in any of the types that files have it in."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kmnist.data.forms.found import LabelColumn
from kmnist.errors import DataError


def label_column(values: npt.NDArray[Any], source: str) -> LabelColumn:
    """Numbers of classes, or their names.

    Args:
        values: (N,), (N, 1), or (N, 8) as QMNIST has them, whose first column is the class.
        source: for messages.

    Raises:
        DataError: they are none.
    """
    if values.ndim == 2 and (values.shape[1] == 1 or (values.shape[1] == 8 and values.dtype.kind in "iu")):
        values = values[:, 0]
    if values.ndim != 1:
        hint = "; of one-hot labels, save argmax(axis=1)" if values.ndim == 2 else ""
        raise DataError(f"{source}: labels of shape {values.shape}: must be (N,) or (N, 1), a class number each{hint}")
    if values.dtype.kind in "US":
        return [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in values.tolist()]
    if values.dtype.kind not in "uifb" or (values.dtype.kind == "f" and not np.array_equal(values, np.rint(values))):
        raise DataError(f"{source}: labels of type {values.dtype}: must be whole numbers, or names of classes")
    return values.astype(np.int64)
