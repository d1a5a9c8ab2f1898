"""From ranges to trials, with every sampler and pruner; nothing is trained."""

from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from kmnist.errors import SettingError
from kmnist.tuning.definition import PRUNERS, SAMPLERS, parse
from kmnist.tuning.pruners import build_pruner
from kmnist.tuning.samplers import build_sampler
from kmnist.tuning.space import grid, suggest


def fixed(values: dict[str, Any]) -> Any:
    return FixedTrial(values)


def test_layers_are_asked_for_one_by_one_and_no_more_than_there_are() -> None:
    definition, _ = parse({"search": {"hidden": None}})
    config = suggest(fixed({"hidden_layers": 2, "hidden_1": 300, "hidden_2": 70}), definition)
    assert config["hidden"] == (300, 70)


def test_dropout_is_asked_for_only_where_the_architecture_has_it() -> None:
    definition, _ = parse({"search": {"arch": ["plain", "dropout"], "dropout": None}})
    assert suggest(fixed({"arch": "plain"}), definition).arch == "plain"
    assert suggest(fixed({"arch": "dropout", "dropout": 0.3}), definition)["dropout"] == 0.3


def test_the_metric_decides_what_the_best_epoch_is() -> None:
    definition, _ = parse({"metric": "valid/loss", "search": {"batch_size": [64]}})
    assert suggest(fixed({"batch_size": 64}), definition).select_by == "valid_loss"
    assert not definition.objective.maximise


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_legal_settings_and_the_same_ones_again(sampler: str) -> None:
    choices = {
        "learning_rate": [0.1, 0.01],
        "batch_size": [64, 128, 256],
        "weight_decay": {"low": 0, "high": 0.1, "step": 0.1},
    }
    ranges = {"hidden": None, "learning_rate": None, "schedule": None}
    search = choices if sampler == "grid" else ranges
    definition, _ = parse({"arch": "plain", "epochs": 3, "sampler": sampler, "search": search})

    def propose() -> list[dict[str, Any]]:
        study = optuna.create_study(direction="maximize", pruner=build_pruner(definition))
        for number in range(12):
            study.sampler = build_sampler(definition, 12, number)
            trial = study.ask()
            suggest(trial, definition)
            study.tell(trial, 1 / (1 + number))
        return [trial.params for trial in study.trials]

    proposed = propose()
    assert proposed == propose()
    different = {str(params) for params in proposed}
    assert len(different) == 12
    if sampler == "grid":
        assert {params["weight_decay"] for params in proposed} == {0.0, 0.1}


def test_two_workers_of_a_random_study_do_not_propose_the_same() -> None:
    definition, _ = parse({"sampler": "random", "search": {"learning_rate": None}})
    study = optuna.create_study()
    rates = set()
    for number in range(4):  # a worker each, that has just begun
        study.sampler = build_sampler(definition, 4, number)
        rates.add(suggest(study.ask(), definition).learning_rate)
    assert len(rates) == 4


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"batch_size": [64, 128], "learning_rate": [0.3, 0.1, 0.01]}, "6 points (batch_size 2 x learning_rate 3)"),
        ({"learning_rate": None}, "search.learning_rate=0.0001 to 0.01 log has no steps; give a list, or a step"),
        ({"hidden": None}, "has no grid; list whole nets"),
        ({"arch": ["plain", "dropout"], "dropout": [0.1]}, "dropout depends on arch, and a grid cannot"),
    ],
)
def test_a_grid_that_cannot_be_is_told(search: dict[str, Any], message: str) -> None:
    definition, _ = parse({"sampler": "grid", "search": search})
    with pytest.raises(SettingError) as told:
        build_sampler(definition, 5, 0)
    assert message in str(told.value)


def test_a_grid_has_every_step_of_a_range() -> None:
    search = {"dropout": {"low": 0, "high": 0.6, "step": 0.2}, "batch_size": {"low": 64, "high": 192, "step": 64}}
    definition, _ = parse({"arch": "dropout", "sampler": "grid", "search": search})
    points = grid(definition, 100)
    assert points["batch_size"] == [64, 128, 192]
    assert points["dropout"] == pytest.approx([0, 0.2, 0.4, 0.6])


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_that_needs_more_epochs_than_there_are_is_refused(pruner: str) -> None:
    least = PRUNERS[pruner].least_epochs
    build_pruner(parse({"pruner": pruner, "epochs": least})[0])
    if least > 1:
        with pytest.raises(SettingError, match=f"epochs={least - 1}: pruner={pruner} needs at least {least} epochs"):
            build_pruner(parse({"pruner": pruner, "epochs": least - 1})[0])


@pytest.mark.parametrize("pruner", [name for name in PRUNERS if name != "none"])
def test_every_pruner_ends_a_hopeless_trial(pruner: str) -> None:
    """Good trials first, then one that never learns: scripted numbers, steps from 1."""
    definition, _ = parse({"pruner": pruner, "epochs": 12})
    study = optuna.create_study(study_name="scripted", direction="maximize", pruner=build_pruner(definition))
    pruned_at = {}
    for number in range(30):
        trial = study.ask()
        for epoch in range(1, 13):
            trial.report(0.1 - epoch / 1000 if number % 3 == 2 else 0.9 + number / 1000 + epoch / 100, epoch)
            if epoch < 12 and trial.should_prune():
                pruned_at[number] = epoch
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, 0.9)
    hopeless = [number for number in pruned_at if number % 3 == 2]
    assert len(hopeless) >= 5, pruned_at
    assert len(hopeless) > len(pruned_at) / 2
