"""What a study is, read from what a user gives."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.settings import Choices, Layers, Range
from kmnist.tuning.definition import Definition, parse

STUDIES = sorted((Path(__file__).parent.parent / "experiments" / "studies").glob("*.yaml"))


def test_without_a_search_everything_with_a_range_is_searched_but_what_is_given() -> None:
    definition, budget = parse({"arch": "plain", "learning_rate": "1e-3", "epochs": "9"})
    expected = {name: mark.over for name, mark in TrainConfig.searched("plain").items() if mark.unasked}
    del expected["learning_rate"]  # given
    assert definition.search == expected
    assert definition.settings == {"arch": "plain", "learning_rate": "0.001", "epochs": "9"}
    assert (definition.epochs, definition.objective.maximise, budget.trials) == (9, True, 50)


def test_the_dropout_net_searches_its_dropout() -> None:
    definition, _ = parse({"arch": "dropout"})
    assert definition.search["dropout"] == Range(low=0, high=0.6)


def test_a_search_narrows_and_what_is_given_wins_over_it() -> None:
    search = {"learning_rate": {"low": 0.001, "high": 0.01, "log": True}, "batch_size": [64, 128], "weight_decay": None}
    definition, _ = parse({"search": search, "batch_size": 256})
    assert definition.search == {
        "learning_rate": Range(low=0.001, high=0.01, log=True),
        "weight_decay": TrainConfig.searched("plain")["weight_decay"].over,
    }
    assert definition.settings["batch_size"] == "256"


def test_layers_and_choices() -> None:
    layers = {"count": {"low": 2, "high": 3}, "width": {"low": 16, "high": 64, "step": 16}}
    expected = Layers(count=Range(low=2, high=3), width=Range(low=16, high=64, step=16))
    assert parse({"search": {"hidden": layers}})[0].search["hidden"] == expected
    nets = {"hidden": ["512,256", [128, 64]]}
    assert parse({"search": nets})[0].search["hidden"] == Choices(values=("512,256", "128,64"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 1}, "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ({"sampler": "tpee"}, "sampler=tpee: unknown sampler 'tpee'; did you mean 'tpe'?"),
        ({"trials": 0}, "trials=0: must be greater than or equal to 1"),
        ({"select_by": "valid_loss"}, "select_by=valid_loss: follows the study's metric; give metric instead"),
        ({"valid_fraction": 0}, "a study needs validation images"),
        ({"search": {"lerning_rate": None}}, "search: unknown setting 'lerning_rate'; did you mean 'learning_rate'?"),
        ({"search": {"epochs": [1, 2]}}, "search.epochs: cannot be searched"),
        ({"search": {"normalise": None}}, "search.normalise: has no usual range; give one"),
        ({"search": {"batch_size": []}}, "search.batch_size: the list of choices is empty"),
        ({"search": {"learning_rate": {"low": 0.1, "high": 0.01}}}, "low=0.1, high=0.01: low must be below high"),
        ({"search": {"learning_rate": {"low": 0.1, "high": 0.1}}}, "low must be below high; to fix it, give one value"),
        ({"search": {"weight_decay": {"low": 0, "high": 0.1, "log": True}}}, "must begin above 0"),
        ({"search": {"learning_rate": {"low": 0.1}}}, "search.learning_rate: high: must be given"),
        ({"search": {"learning_rate": {"low": 0.1, "hi": 1}}}, "unknown setting 'hi'; did you mean 'high'?"),
        ({"search": {"learning_rate": 0.1}}, "search.learning_rate=0.1: must be a list of choices"),
        ({"search": {"learning_rate": {"low": -1, "high": 1}}}, "search.learning_rate=-1.0: must be greater than 0"),
        ({"search": {"batch_size": {"low": 0.5, "high": 3.5}}}, "whole numbers are needed"),
        (
            {"search": {"optimizer": ["adam", "adamm"]}},
            "search.optimizer=adamm: unknown optimizer 'adamm'",
        ),
        ({"search": {"optimizer": {"low": 1, "high": 2}}}, "a range of numbers does not fit; give a list"),
        ({"search": {"dropout": [0.2]}}, "search: dropout: arch=plain has no dropout; leave it out"),
        ({"search": ["learning_rate"]}, "search: must be a mapping"),
        ({"search": {"learning_rate": [0.1]}, "learning_rate": 0.1}, "nothing is left to search"),
    ],
)
def test_bad_input_is_told_with_the_value_the_rule_and_the_way_out(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as told:
        parse(given)
    assert message in str(told.value)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_study_files_are_good_and_survive_their_storage(path: Path) -> None:
    definition, _ = parse(yaml.safe_load(path.read_text()))
    assert Definition.from_json(definition.to_json()) == definition


def test_differences_name_what_differs() -> None:
    there, _ = parse({"epochs": 20, "search": {"learning_rate": None, "batch_size": [64, 128]}})
    here, _ = parse({"epochs": 10, "pruner": "none", "search": {"learning_rate": None, "weight_decay": None}})
    assert there.differences(there) == []
    assert there.differences(here) == [
        "epochs: 20 there, 10 here",
        "pruner: hyperband there, none here",
        "search.batch_size: 64 | 128 there, not given here",
        "search.weight_decay: not given there, 1e-06 to 0.1 log here",
    ]
