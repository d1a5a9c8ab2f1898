"""An array that grows at its end, in little more memory than it holds."""

from typing import Any

import numpy as np
import numpy.typing as npt

SHARE = 8  # of its length, by which it grows: memory for an eighth more than there is


class Growing:
    """Blocks (n, ...) of one shape, put together.

    Their type may become a larger one: what begins with bytes may go on with fractions.
    """

    def __init__(self) -> None:
        self._array: npt.NDArray[Any] | None = None
        self._length = 0

    def append(self, block: npt.NDArray[Any]) -> None:
        """Put a block at the end."""
        if self._array is None:
            self._array = np.empty(block.shape, block.dtype)
        kind = np.promote_types(self._array.dtype, block.dtype)
        if kind != self._array.dtype:
            self._array = self._array.astype(kind)
        length = self._length + len(block)
        if length > len(self._array):  # in place, where the system can
            self._array.resize(
                (max(length, len(self._array) + len(self._array) // SHARE), *block.shape[1:]), refcheck=False
            )
        self._array[self._length : length] = block
        self._length = length

    def array(self) -> npt.NDArray[Any]:
        """All of it."""
        if self._array is None:
            return np.empty(0, np.uint8)
        self._array.resize((self._length, *self._array.shape[1:]), refcheck=False)
        return self._array
