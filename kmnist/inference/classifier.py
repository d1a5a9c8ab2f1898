"""A network, ready to answer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import PictureError
from ..kana import CLASSES, KANA, ROMAJI

Row = dict[str, str | int | float]
#: What a row holds: the answer, and the two candidates after it.
FIELDS: dict[str, type] = {
    "kana": str,
    "romaji": str,
    "class": int,
    "probability": float,
    "second": str,
    "second_probability": float,
    "third": str,
    "third_probability": float,
}
BATCH = 2_048  # as in training's evaluation, so that the numbers are the same to the last bit


@dataclass(frozen=True)
class Predictions:
    """What a network says about N pictures.

    Attributes:
        probabilities: float32 (N, 10), each row adding up to 1.
    """

    probabilities: npt.NDArray[np.float32]

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The most probable class of each picture, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def kana(self) -> list[str]:
        """The same as hiragana."""
        return [KANA[number] for number in self.classes]

    @property
    def romaji(self) -> list[str]:
        """The same in Latin letters."""
        return [ROMAJI[number] for number in self.classes]

    def candidates(self, count: int = 3) -> npt.NDArray[np.int64]:
        """The most probable classes of each picture, best first, (N, count)."""
        return np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]

    def rows(self) -> list[Row]:
        """A row of FIELDS for each picture."""
        return [
            dict(zip(FIELDS, (KANA[a], ROMAJI[a], a, row[a], KANA[b], row[b], KANA[c], row[c])))
            for (a, b, c), row in zip(self.candidates().tolist(), self.probabilities.tolist())
        ]

    def __len__(self) -> int:
        return len(self.probabilities)


class Classifier:
    """Answers for pictures in the form of the training images: light ink on dark, 28 x 28, values 0..255.

    Args:
        network: float32 (N, 28, 28) -> log-probabilities (N, 10); normalises by itself.
        name: what to call it.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], name: str) -> None:
        self._network = network
        self.name = name

    def predict(self, images: npt.ArrayLike) -> Predictions:
        """Predict pictures that are already in the form of the training images.

        Pictures of other forms: :func:`kmnist.inference.to_kmnist` first.

        Args:
            images: (N, 28, 28), or one of (28, 28); values 0..255, any number type.

        Raises:
            PictureError: another shape, or values that are no numbers from 0 to 255.
        """
        pixels = _checked(images)
        with torch.inference_mode():
            parts = [self._network(batch) for batch in torch.from_numpy(pixels).split(BATCH)]
        log_probabilities = torch.cat(parts) if parts else torch.zeros(0, CLASSES)
        return Predictions(log_probabilities.exp().numpy())


def _checked(images: npt.ArrayLike) -> npt.NDArray[np.float32]:
    try:
        pixels = np.asarray(images)
        if pixels.dtype.kind not in "uifb":
            raise ValueError(f"of type {pixels.dtype}")
    except ValueError as error:  # rows of different lengths, for example
        raise PictureError(f"images: must be an array of numbers ({error})") from None
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or pixels.shape[1:] != (28, 28):
        raise PictureError(f"images of shape {pixels.shape}: must be (N, 28, 28) or (28, 28)")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):  # so written, NaN is refused, too
        raise PictureError(f"pixel values from {pixels.min()} to {pixels.max()}: must be from 0 to 255")
    return np.ascontiguousarray(pixels, dtype=np.float32)
