"""How far a network's probabilities are to be believed: measured on validation, kept in the model.

Temperature scaling is of Guo et al., "On Calibration of Modern Neural Networks", 2017
(https://arxiv.org/abs/1706.04599).
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

LogProbabilities = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
MOST_TEMPERATURE = 100.0
PAPER, INK = 32, 224  # levels below and above are the one and the other; those between are the edges of strokes


@dataclass(frozen=True)
class Calibration:
    """What makes probabilities of a network's output, and when they are too low to answer.

    Attributes:
        temperature: its log-probabilities are divided by this, then normalised; 1 leaves them as they are.
        unsure_below: an answer of a lower probability is unsure; 0: none is.
        grey: the least and the greatest share of grey pixels that letters have; what has another is none.
    """

    temperature: float = 1.0
    unsure_below: float = 0.0
    grey: tuple[float, float] = (0.0, 1.0)

    def apply(self, log_probabilities: LogProbabilities) -> LogProbabilities:
        """Calibrated log-probabilities, (N, C) as those given."""
        if self.temperature == 1 or not log_probabilities.size:
            return log_probabilities
        scaled = log_probabilities / np.float32(self.temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)), np.float32)

    def unsure(
        self, pixels: Pixels, calibrated: LogProbabilities, unsure_below: float | None = None
    ) -> npt.NDArray[np.bool_]:
        """Whether the answer for each picture is too improbable to be one, or the picture none of a letter, (N,).

        Args:
            pixels: (N, H, W), 0..255.
            calibrated: (N, C), log-probabilities.
            unsure_below: in the place of its own.
        """
        improbable = np.exp(calibrated.max(axis=1)) < (self.unsure_below if unsure_below is None else unsure_below)
        empty = pixels.max(axis=(1, 2)) == pixels.min(axis=(1, 2))  # of which a network can be quite sure
        grey, (least, most) = grey_share(pixels), self.grey
        return np.asarray(improbable | empty | (grey < least) | (grey > most))

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which :meth:`from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Read what :meth:`to_json` gave; of nothing, as in models from before there was any, the defaults.

        Raises:
            ValueError: it is something else.
        """
        if values is None:
            return cls()
        try:
            temperature, unsure_below = float(values["temperature"]), float(values["unsure_below"])
            least, most = map(float, values["grey"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a calibration ({type(error).__name__}: {error})") from None
        if not (0 < temperature <= MOST_TEMPERATURE and 0 <= unsure_below <= 1 and 0 <= least <= most <= 1):
            told = f"temperature {temperature}, unsure below {unsure_below}, grey {least} to {most}"
            raise ValueError(f"not a calibration: {told}")
        return cls(temperature, unsure_below, (least, most))


def grey_share(pixels: Pixels) -> npt.NDArray[np.float64]:
    """The share of pixels of each picture that are neither paper nor ink, (N,).

    Strokes have edges: such are 5 to 31 % of the pixels of Kuzushiji-MNIST's images. Noise, clouds and empty paper have
    more, or none.
    """
    return np.asarray(((pixels >= PAPER) & (pixels < INK)).mean(axis=(1, 2)))


UNCALIBRATED = Calibration()
