"""The best settings trained again with other seeds: what was the best of many on one split looks better than it is."""

from collections.abc import Iterable, Sequence

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist.config import LAST, TrainConfig
from kmnist.record import Objective
from kmnist.settings import Choices, SearchRange
from kmnist.tuning.definition import TRAIN_LOSS, Budget, Definition, Method
from kmnist.tuning.storage import StudyStorage
from kmnist.tuning.study import TrackedStudy, create_study
from kmnist.tuning.table import chosen_of


def seeds_study(
    storage: StudyStorage,
    name: str,
    config: TrainConfig,
    seeds: Sequence[int],
    data: dict[str, str],
    confirms: str | None = None,
    subsets: Sequence[str] = (),
) -> TrackedStudy:
    """A study over seeds, and over subsets of the images: a grid without pruning, whose trials are whole runs.

    Each is evaluated on test once.

    Being a study it is shared among workers, survives what they do not, and goes on where it stopped.

    Args:
        storage: where it is kept.
        name: of the study.
        config: what all of them are trained with, but for the seed.
        seeds: those.
        data: what it is about.
        confirms: the name of the study whose best settings these are.
        subsets: of the images, each of which is learnt from with every seed; none: that of the settings.
    """
    changed = {**config.changed(), "epochs": str(config.epochs)}
    settings = {name: text for name, text in changed.items() if name not in ("seed", "select_by")}
    search: dict[str, SearchRange] = {"seed": Choices(values=tuple(seeds))}
    if subsets:
        settings.pop("subset", None)
        search["subset"] = Choices(values=tuple(subsets))
    metric = TRAIN_LOSS if config.select_by == LAST else Objective.of(config.select_by).name
    method = Method.parse({"sampler": "grid", "pruner": "none", "metric": metric})
    definition = Definition(settings, search, method, confirms=confirms)
    budget = Budget.parse({"trials": len(seeds) * max(len(subsets), 1), "confirm_seeds": 0})
    return create_study(storage, name, definition, budget, data)


def following(seed: int, places: Iterable[int]) -> list[int]:
    """The seeds that many places behind one."""
    return [(seed + place) % 2**32 for place in places]


def confirmation_of(study: TrackedStudy, best: FrozenTrial, seeds: int) -> TrackedStudy:
    """The study that trains the settings of a trial again.

    Args:
        study: whose best trial is confirmed.
        best: that trial.
        seeds: how many; they follow the seed that the trial was trained with.
    """
    config = study.definition.config(chosen_of(best, study.definition))
    name = f"{study.name}.trial-{best.number}.seeds-{seeds}"
    others = following(config.seed, range(1, seeds + 1))
    return seeds_study(study.storage, name, config, others, study.data, confirms=study.name)


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
