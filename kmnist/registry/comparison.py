"""Whether one model is worse than another, or only looks so this time: exact tests over pairs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

#: Chance with which a model that is as good as the other is taken for worse.
SIGNIFICANCE = 0.05
PAIRS = 101
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lost:
    """Pairs in which a candidate was worse than a champion, and those in which it was better.

    Attributes:
        worse: how many pairs went to the champion.
        better: how many to the candidate.
    """

    worse: int
    better: int

    @property
    def p(self) -> float:
        """How probable it is that as many or more go to the champion, if each pair goes to either by chance."""
        from scipy.stats import binomtest  # late: seconds that loading a model does not need

        pairs = self.worse + self.better
        return float(binomtest(self.worse, pairs, 0.5, alternative="greater").pvalue) if pairs else 1.0

    @property
    def is_significant(self) -> bool:
        """Whether the candidate is worse."""
        return self.p < SIGNIFICANCE


def compare_hits(candidate: Hits, champion: Hits) -> Lost:
    """McNemar's exact test, one-sided: only pictures on which one is right and the other wrong tell them apart.

    Q. McNemar, Note on the sampling error of the difference between correlated proportions, Psychometrika 12 (1947).

    Args:
        candidate: (N,), where it is right.
        champion: (N,), on the same pictures.
    """
    return Lost(int((champion & ~candidate).sum()), int((candidate & ~champion).sum()))


def compare_speed(candidate: Callable[[], object], champion: Callable[[], object], slower: float) -> tuple[Lost, float]:
    """The sign test over pairs of runs: whether the candidate takes more than ``slower`` times as long.

    The two run in turn, so whatever else the machine does meets both alike; and only whether a pair lies above
    ``slower`` counts, so one run that was interrupted weighs no more than any other.

    Returns:
        The pairs above and below ``slower``, and the median of their ratios.
    """
    ratios = []
    for number in range(10 + PAIRS):
        first, second = (candidate, champion) if number % 2 else (champion, candidate)
        one, two = _seconds(first), _seconds(second)
        ratios.append(one / two if number % 2 else two / one)
    ratios = ratios[10:]  # the first ones warm up
    above = sum(ratio > slower for ratio in ratios)
    return Lost(above, len(ratios) - above), median(ratios)


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
