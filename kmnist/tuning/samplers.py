"""Samplers by name. To add one: a function here or in a file of its own, and a line in ``definition.SAMPLERS``."""

import warnings
from dataclasses import dataclass
from math import prod
from typing import cast

import numpy as np
from optuna import Study, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from kmnist.tuning.definition import SAMPLERS, Budget, Definition
from kmnist.tuning.space import grid as grid_of


@dataclass(frozen=True)
class Place:
    """For which trial a sampler is made.

    Each trial gets a sampler of its own, seeded by the study's seed and its number: workers that all began with the
    study's seed would propose the same settings. What a sampler learns from, it reads from the study.

    Attributes:
        definition: the study.
        trials: its budget.
        number: of the trial.
    """

    definition: Definition
    trials: int
    number: int

    @property
    def study_seed(self) -> int:
        """For samplers whose trials are places in one sequence."""
        return self.definition.method.sampler_seed

    @property
    def seed(self) -> int:
        """Of this trial alone."""
        return int(np.random.SeedSequence([self.study_seed, self.number]).generate_state(1)[0])


def tpe(place: Place) -> samplers.BaseSampler:
    """Tree-structured Parzen estimator."""
    return samplers.TPESampler(seed=place.seed)


def random(place: Place) -> samplers.BaseSampler:
    """Independent draws."""
    return samplers.RandomSampler(seed=place.seed)


def grid(place: Place) -> samplers.BaseSampler:
    """Every point of a grid."""
    return _Grid(grid_of(place.definition, place.trials), seed=place.study_seed)


def gp(place: Place) -> samplers.BaseSampler:
    """Gaussian process."""
    return samplers.GPSampler(seed=place.seed, deterministic_objective=False)


def cmaes(place: Place) -> samplers.BaseSampler:
    """Covariance matrix adaptation."""
    return samplers.CmaEsSampler(seed=place.seed, warn_independent_sampling=False)


def qmc(place: Place) -> samplers.BaseSampler:
    """A quasi-random sequence."""
    return samplers.QMCSampler(seed=place.study_seed, scramble=True, warn_independent_sampling=False)


class _Grid(samplers.GridSampler):
    """Optuna's grid, whose end is left to the study's budget: ``Study.stop`` works inside ``optimize`` only."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: object) -> None:
        pass


def build_sampler(definition: Definition, trials: int, number: int) -> samplers.BaseSampler:
    """The sampler for one trial.

    Args:
        definition: the study.
        trials: its budget.
        number: of the trial.

    Raises:
        SettingError: the space does not fit the sampler.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        made = SAMPLERS[definition.method.sampler](Place(definition, trials, number))
    return cast(samplers.BaseSampler, made)


def fitting(definition: Definition, budget: Budget) -> Budget:
    """The budget of a study: a grid has no more trials than it has points.

    Raises:
        SettingError: the space does not fit the sampler, or a grid has more points than the budget has trials.
    """
    build_sampler(definition, budget.trials, 0)
    if definition.method.sampler != "grid":
        return budget
    points = prod(len(values) for values in grid_of(definition, budget.trials).values())
    return budget.model_copy(update={"trials": points})
