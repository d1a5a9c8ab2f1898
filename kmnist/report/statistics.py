"""How sure a number is: intervals, tests on the same images, calibration. By scipy, on what runs have stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

BINS = 15
Hits = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A share and its 95 % Wilson interval.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
    """

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, count: int) -> "Interval":
        """Of ``hits`` in ``count``; at least one."""
        found = binomtest(hits, count).proportion_ci(0.95, method="wilson")
        return cls(hits / count, float(found.low), float(found.high))

    def __str__(self) -> str:
        return f"{self.share:.2%} ({100 * self.low:.2f}–{100 * self.high:.2f})"


@dataclass(frozen=True)
class Paired:
    """Two networks on the same images.

    Attributes:
        first_only: images that only the first recognises.
        second_only: images that only the second recognises.
        p: of McNemar's exact test, two-sided.
    """

    first_only: int
    second_only: int
    p: float

    @classmethod
    def of(cls, first: Hits, second: Hits) -> "Paired":
        """From (N,), where each is right.

        Q. McNemar, "Note on the sampling error of the difference between correlated proportions" (1947).
        """
        one, other = int((first & ~second).sum()), int((second & ~first).sum())
        return cls(one, other, float(binomtest(one, one + other).pvalue) if one + other else 1.0)

    @property
    def words(self) -> str:
        """What it says about the difference."""
        if self.p >= 0.05:
            return "a difference that chance alone could well make"
        return "more than chance would make" if self.p >= 0.001 else "far more than chance would make"

    @property
    def p_text(self) -> str:
        """``p = 0.012``"""
        return f"p = {self.p:.2g}" if self.p >= 0.0001 else "p < 0.0001"


def signed(value: float, digits: int = 2) -> str:
    """With its sign, but no -0.00."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def spread(values: Sequence[float], digits: int = 2, percent: bool = True) -> str:
    """Mean and standard deviation."""
    scaled = [100 * value if percent else value for value in values]
    unit = " %" if percent else ""
    if len(scaled) == 1:
        return f"{scaled[0]:.{digits}f}{unit}"
    return f"{mean(scaled):.{digits}f} ± {stdev(scaled):.{digits}f}{unit}"


@dataclass(frozen=True)
class Calibration:
    """Whether confidence can be believed.

    Attributes:
        confidence: mean of the largest probability.
        accuracy: share of hits.
        error: expected calibration error over 15 bins.
        temperature: that the log-probabilities are to be divided by, fitted on every other image by their likelihood.
        mended: the error with it, on the images that it was not fitted on.
        bins: mean confidence, share of hits and number of images of each bin that has any.
    """

    confidence: float
    accuracy: float
    error: float
    temperature: float
    mended: float
    bins: tuple[tuple[float, float, int], ...]

    @classmethod
    def of(cls, probabilities: Shares, actual: npt.NDArray[np.int64]) -> "Calibration":
        """C. Guo et al., "On Calibration of Modern Neural Networks" (2017), https://arxiv.org/abs/1706.04599.

        Args:
            probabilities: (N, C).
            actual: (N,).
        """
        bins = _bins(probabilities, actual)
        logs = np.log(np.maximum(probabilities, 1e-12))  # stored with six digits: smaller ones may read 0

        def loss(log_temperature: float) -> float:
            scaled = _softmax(logs[::2] / np.exp(log_temperature))
            return float(-np.log(np.maximum(scaled[np.arange(len(scaled)), actual[::2]], 1e-12)).mean())

        temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 4), method="bounded").x))
        return cls(
            confidence=float(probabilities.max(axis=1).mean()),
            accuracy=float((probabilities.argmax(axis=1) == actual).mean()),
            error=_error(bins),
            temperature=temperature,
            mended=_error(_bins(_softmax(logs[1::2] / temperature), actual[1::2])),
            bins=bins,
        )


def _bins(probabilities: Shares, actual: npt.NDArray[np.int64]) -> tuple[tuple[float, float, int], ...]:
    confidence, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == actual
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    parts = [places == number for number in range(BINS)]
    return tuple((float(confidence[at].mean()), float(hits[at].mean()), int(at.sum())) for at in parts if at.any())


def _error(bins: tuple[tuple[float, float, int], ...]) -> float:
    total = sum(count for *_, count in bins)
    return sum(abs(confidence - share) * count for confidence, share, count in bins) / total


def _softmax(values: Shares) -> Shares:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    result: Shares = shifted / shifted.sum(axis=1, keepdims=True)
    return result
