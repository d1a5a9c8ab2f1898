"""A study as a table: one row a trial, in the order of their numbers."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from kmnist.record import TRIAL_COLUMNS
from kmnist.settings import Layers
from kmnist.tuning.definition import Definition


def trials_table(trials: Sequence[FrozenTrial], definition: Definition) -> pd.DataFrame:
    """One row a trial: ``TRIAL_COLUMNS``, then a column for each searched setting, empty where a trial has it not.

    ``value`` is that of the best epoch, of pruned trials, too; ``best_so_far`` is that of the complete trials at
    the time that this one ended. ``epochs`` counts those trained; times are local.
    """
    rows = [_row(trial, definition) for trial in trials if trial.state != TrialState.WAITING]
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    table = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *names])
    # Of columns that have no value yet pandas does not know the kind.
    table = table.astype({"value": "float64", "started": "datetime64[us]", "ended": "datetime64[us]"})
    ended = table[table["ended"].notna()].sort_values("ended")
    complete = ended["value"].where(ended["state"] == "COMPLETE")
    best = complete.cummax() if definition.objective.maximise else complete.cummin()
    table["best_so_far"] = best.ffill().reindex(table.index)
    return table


def best_trial(trials: Sequence[FrozenTrial], definition: Definition) -> FrozenTrial | None:
    """The trial with the best value of those that were not pruned; the first of equals; ``None`` if there is none."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return definition.objective.best(complete, lambda trial: trial.value or 0.0)


def chosen_of(trial: FrozenTrial, definition: Definition) -> dict[str, Any]:
    """The settings that were chosen for a trial, from Optuna's parameters: layers put together again."""
    chosen: dict[str, Any] = {}
    for name, found in definition.search.items():
        if isinstance(found, Layers) and f"{name}_layers" in trial.params:
            count = trial.params[f"{name}_layers"]
            chosen[name] = [trial.params[f"{name}_{place}"] for place in range(1, count + 1)]
        elif name in trial.params:
            chosen[name] = trial.params[name]
    return chosen


def _row(trial: FrozenTrial, definition: Definition) -> dict[str, Any]:
    values = trial.intermediate_values
    best_epoch = definition.objective.best(sorted(values), lambda epoch: values[epoch])
    return {
        "trial": trial.number,
        "state": trial.state.name,
        "value": values[best_epoch] if best_epoch is not None else None,
        "best_epoch": best_epoch,
        "epochs": len(values) if trial.user_attrs.get("epochs_begun", 1) else 0,
        "seconds": trial.duration.total_seconds() if trial.duration else None,
        "started": trial.datetime_start,
        "ended": trial.datetime_complete,
        "run_id": trial.user_attrs.get("run_id", ""),
        "reason": trial.user_attrs.get("reason", ""),
        **trial.params,
    }
