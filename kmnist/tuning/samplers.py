"""Samplers by name. To add one: its name in ``Method.sampler`` and a case here."""

import warnings
from math import prod

import numpy as np
from optuna import Study, samplers
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState

from kmnist.tuning.definition import Budget, Definition
from kmnist.tuning.space import grid


class _Grid(samplers.GridSampler):
    """Optuna's grid, whose end is left to the study's budget: ``Study.stop`` works inside ``optimize`` only."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: object) -> None:
        pass


def fitting(definition: Definition, budget: Budget) -> Budget:
    """The budget of a study: a grid has no more trials than it has points.

    Raises:
        SettingError: the space does not fit the sampler, or a grid has more points than the budget has trials.
    """
    build_sampler(definition, budget.trials, 0)
    if definition.method.sampler != "grid":
        return budget
    points = prod(len(values) for values in grid(definition, budget.trials).values())
    return budget.model_copy(update={"trials": points})


def build_sampler(definition: Definition, trials: int, number: int) -> samplers.BaseSampler:
    """A sampler for one trial.

    Each trial gets a sampler of its own, seeded by the study's seed and its number: workers that all began with the
    study's seed would propose the same settings. What a sampler learns from, it reads from the study. Grid and qmc keep
    the study's seed: their trials are places in one sequence.

    Args:
        definition: the study.
        trials: its budget.
        number: of the trial.

    Raises:
        SettingError: the space does not fit the sampler.
    """
    study_seed = definition.method.sampler_seed
    seed = int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        match definition.method.sampler:
            case "tpe":
                return samplers.TPESampler(seed=seed)
            case "random":
                return samplers.RandomSampler(seed=seed)
            case "grid":
                return _Grid(grid(definition, trials), seed=study_seed)
            case "gp":
                return samplers.GPSampler(seed=seed, deterministic_objective=False)
            case "cmaes":
                return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            case "qmc":
                return samplers.QMCSampler(seed=study_seed, scramble=True, warn_independent_sampling=False)
