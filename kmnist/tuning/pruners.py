"""Pruners by name. To add one: a ``Pruner`` here or in a file of its own, and a line in ``definition.PRUNERS``."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from optuna import pruners
from optuna.exceptions import ExperimentalWarning

from kmnist.errors import SettingError
from kmnist.tuning.definition import PRUNERS, Definition

PATIENCE = 3


@dataclass(frozen=True)
class Pruner:
    """How a pruner is made. Its steps are epochs, counted from 1.

    Attributes:
        least_epochs: of a trial, with fewer of which it could never end one.
        build: takes the epochs of a whole trial.
    """

    least_epochs: int
    build: Callable[[int], pruners.BasePruner]


def _patient(epochs: int) -> pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return pruners.PatientPruner(pruners.MedianPruner(n_startup_trials=5), patience=PATIENCE)


HYPERBAND = Pruner(3, lambda epochs: pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3))
MEDIAN = Pruner(2, lambda epochs: pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1))
ASHA = Pruner(2, lambda epochs: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3))
PERCENTILE = Pruner(2, lambda epochs: pruners.PercentilePruner(25, n_startup_trials=5, n_warmup_steps=1))
PATIENT = Pruner(PATIENCE + 2, _patient)
NONE = Pruner(1, lambda epochs: pruners.NopPruner())


def build_pruner(definition: Definition) -> pruners.BasePruner:
    """The pruner of a study.

    Raises:
        SettingError: a trial has too few epochs for the pruner ever to end one.
    """
    name, epochs = definition.method.pruner, definition.epochs
    pruner: Pruner = PRUNERS[name]
    if epochs < pruner.least_epochs:
        raise SettingError(
            f"epochs={epochs}: pruner={name} needs at least {pruner.least_epochs} epochs; give more, or pruner=none"
        )
    return pruner.build(epochs)
