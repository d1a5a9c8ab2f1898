"""A network, ready to answer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..calibration import UNCALIBRATED, Calibration
from ..data.spec import DataSpec
from ..errors import PictureError

Row = dict[str, str | int | float]
#: What a row holds: the answer, whether it is too improbable to be one, and the two candidates after it.
FIELDS: dict[str, type] = {
    "kana": str,
    "romaji": str,
    "class": int,
    "probability": float,
    "unsure": bool,
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
        log_probabilities: float32 (N, C), natural logarithms of the probabilities.
        spec: what the C classes are.
        unsure: bool (N,), whether the answer is too improbable to be one, or the picture that of no letter.
    """

    log_probabilities: npt.NDArray[np.float32]
    spec: DataSpec
    unsure: npt.NDArray[np.bool_]

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Of each class, (N, C); each row adds up to 1."""
        return np.exp(self.log_probabilities)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """The most probable class of each picture, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def kana(self) -> list[str]:
        """The same as characters."""
        return [self.spec.classes[number].glyph for number in self.classes]

    @property
    def romaji(self) -> list[str]:
        """The same in Latin letters."""
        return [self.spec.classes[number].text for number in self.classes]

    def candidates(self, count: int = 3) -> npt.NDArray[np.int64]:
        """The most probable classes of each picture, best first, (N, count)."""
        return np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]

    def columns(self) -> dict[str, list[str | int | float]]:
        """N values of each of FIELDS; of fewer than three classes, without those that there are not."""
        best = self.candidates()  # (N, 3)
        probabilities = np.take_along_axis(self.probabilities, best, axis=1)
        glyphs, texts = ([getattr(label, name) for label in self.spec.classes] for name in ("glyph", "text"))
        first, *others = best.T.tolist()
        values: list[list[str | int | float]] = [
            [glyphs[number] for number in first],
            [texts[number] for number in first],
            first,
            probabilities[:, 0].tolist(),
            self.unsure.tolist(),
        ]
        for place, other in enumerate(others, 1):
            values += [[glyphs[number] for number in other], probabilities[:, place].tolist()]
        return dict(zip(FIELDS, values))

    def rows(self) -> list[Row]:
        """The same as a row for each picture."""
        columns = self.columns()
        return [dict(zip(columns, values)) for values in zip(*columns.values())]

    def __len__(self) -> int:
        return len(self.log_probabilities)


class Classifier:
    """Answers for pictures in the form of the training images: light ink on dark, H x W, values 0..255.

    Args:
        network: float32 (N, H, W) -> log-probabilities (N, C); normalises by itself.
        spec: of the data that it was trained on.
        name: what to call it.
        calibration: of what the network says.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        spec: DataSpec,
        name: str,
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        self._network = network
        self.spec = spec
        self.name = name
        self.calibration = calibration

    def predict(self, images: npt.ArrayLike, unsure_below: float | None = None) -> Predictions:
        """Predict pictures that are already in the form of the training images.

        Pictures of other forms: :func:`kmnist.inference.to_kmnist` first.

        Args:
            images: (N, H, W), or one of (H, W); values 0..255, any number type.
            unsure_below: the probability below which an answer is unsure; ``None``: as measured on validation.

        Raises:
            PictureError: another shape, or values that are no numbers from 0 to 255, or that end at 1, or a
                probability that is none.
        """
        pixels = _checked(images, self.spec.shape)
        if unsure_below is not None and not 0 <= unsure_below <= 1:
            raise PictureError(f"unsure_below={unsure_below}: must be a probability, from 0 to 1")
        with torch.inference_mode():
            parts = [self._network(batch) for batch in torch.from_numpy(pixels).split(BATCH)]
        told = torch.cat(parts) if parts else torch.zeros(0, len(self.spec.classes))
        log_probabilities = self.calibration.apply(told.numpy())
        unsure = self.calibration.unsure(pixels, log_probabilities, unsure_below)
        return Predictions(log_probabilities, self.spec, unsure)


def _checked(images: npt.ArrayLike, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    try:
        pixels = np.asarray(images)
        if pixels.dtype.kind not in "uifb":
            raise ValueError(f"of type {pixels.dtype}")
    except ValueError as error:  # rows of different lengths, for example
        raise PictureError(f"images: must be an array of numbers ({error})") from None
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or pixels.shape[1:] != shape:
        height, width = shape
        raise PictureError(f"images of shape {pixels.shape}: must be (N, {height}, {width}) or ({height}, {width})")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 255):  # so written, NaN is refused, too
        raise PictureError(f"pixel values from {pixels.min()} to {pixels.max()}: must be from 0 to 255")
    if pixels.size and 0 < pixels.max() <= 1:  # to the network it would be an empty picture
        raise PictureError("pixel values from 0 to 1: must be from 0 to 255; multiply them by 255")
    return np.ascontiguousarray(pixels, dtype=np.float32)
