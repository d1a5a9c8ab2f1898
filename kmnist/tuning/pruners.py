"""Pruners by name. To add one: its name in ``Method.pruner``, a case here, and the epochs that it needs at least."""

import warnings

from optuna import pruners
from optuna.exceptions import ExperimentalWarning

from kmnist.errors import SettingError
from kmnist.tuning.definition import Definition

PATIENCE = 3
LEAST_EPOCHS = {"hyperband": 3, "median": 2, "asha": 2, "percentile": 2, "patient": PATIENCE + 2, "none": 1}


def build_pruner(definition: Definition) -> pruners.BasePruner:
    """The pruner of a study. Its steps are epochs, counted from 1.

    Raises:
        SettingError: a trial has too few epochs for the pruner ever to end one.
    """
    name, epochs = definition.method.pruner, definition.epochs
    if epochs < (least := LEAST_EPOCHS[name]):
        raise SettingError(f"epochs={epochs}: pruner={name} needs at least {least} epochs; give more, or pruner=none")
    match name:
        case "hyperband":
            return pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
        case "median":
            return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
        case "asha":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        case "percentile":
            return pruners.PercentilePruner(25, n_startup_trials=5, n_warmup_steps=1)
        case "patient":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return pruners.PatientPruner(pruners.MedianPruner(n_startup_trials=5), patience=PATIENCE)
        case "none":
            return pruners.NopPruner()
