"""Which of the training images one training learns from, for members of an ensemble. Knows no torch."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from kmnist.settings import Settings

ALL, BOOTSTRAP = "all", "bootstrap"  # as values of subset
_FOLD = re.compile(r"not-([1-9]\d?)/([1-9]\d?)")


def all_but_fold(number: int, folds: int) -> str:
    """The subset without one of several folds, counted from 1: ``not-2/5``."""
    return f"not-{number}/{folds}"


def _check(subset: str) -> str:
    found = _FOLD.fullmatch(subset)
    if subset not in (ALL, BOOTSTRAP) and not (found and int(found[1]) <= int(found[2]) > 1):
        raise ValueError(f"must be {ALL}, {BOOTSTRAP}, or all but one of several folds, like {all_but_fold(2, 5)}")
    return subset


class SubsetSettings(Settings):
    """What validation leaves of the training images, and which of these are learnt from."""

    split_seed: int = Field(
        -1, ge=-1, lt=2**32, description="seed of the split into training and validation images; -1: that of seed"
    )
    subset: Annotated[str, AfterValidator(_check)] = Field(
        ALL,
        description=f"of the training images, those that are learnt from: {ALL}, {BOOTSTRAP} (as many, drawn with "
        f"replacement from seed), or {all_but_fold(2, 5)} (all but the second of five folds)",
    )

    @property
    def fold(self) -> tuple[int, int] | None:
        """The number, from 1, of the fold that is left out, and how many folds there are."""
        found = _FOLD.fullmatch(self.subset)
        return (int(found[1]), int(found[2])) if found else None
