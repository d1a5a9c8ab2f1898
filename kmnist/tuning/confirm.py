"""The best settings trained again with other seeds: what was the best of many on one split looks better than it is."""

from collections.abc import Sequence

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist.settings import Choices
from kmnist.tuning.definition import Budget, Definition, Method
from kmnist.tuning.study import TrackedStudy, create_study
from kmnist.tuning.table import chosen_of


def confirmation_of(study: TrackedStudy, best: FrozenTrial, seeds: int) -> TrackedStudy:
    """A study over the seed alone: a grid without pruning, whose trials are whole runs, evaluated on test once each.

    Being a study it is shared among workers, survives what they do not, and goes on where it stopped.

    Args:
        study: whose best trial is confirmed.
        best: that trial.
        seeds: how many; they follow the seed that the trial was trained with.
    """
    config = study.definition.config(chosen_of(best, study.definition))
    changed = {**config.changed(), "epochs": str(config.epochs)}
    settings = {name: text for name, text in changed.items() if name not in ("seed", "select_by")}
    choices = Choices(values=tuple((config.seed + place) % 2**32 for place in range(1, seeds + 1)))
    method = Method.parse({"sampler": "grid", "pruner": "none", "metric": study.definition.method.metric})
    definition = Definition(settings, {"seed": choices}, method, confirms=study.name)
    name = f"{study.name}.trial-{best.number}.seeds-{seeds}"
    return create_study(
        study.storage, name, definition, Budget.parse({"trials": seeds, "confirm_seeds": 0}), study.data
    )


def confirmations_table(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """One row for each seed that was trained to its end: ``seed``, ``value``, ``test_accuracy``, ..."""
    rows = [
        {
            "seed": trial.params["seed"],
            "value": trial.value,
            "test_accuracy": trial.user_attrs["test_accuracy"],
            "test_loss": trial.user_attrs["test_loss"],
            "run_id": trial.user_attrs["run_id"],
        }
        for trial in trials
        if trial.value is not None and "test_accuracy" in trial.user_attrs
    ]
    return pd.DataFrame(rows, columns=["seed", "value", "test_accuracy", "test_loss", "run_id"]).sort_values("seed")
