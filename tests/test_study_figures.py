"""The table and the pictures of a study, from trials that were never trained."""

from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image

from kmnist import figures
from kmnist.tuning.definition import Definition, parse
from kmnist.tuning.table import best_trial, chosen_of, trials_table

START = datetime(2026, 1, 1, 12)
DEFINITION = parse({"arch": "plain", "search": {"hidden": None, "learning_rate": None, "optimizer": None}})[0]


def trial(number: int, state: str, values: list[float], **chosen: Any) -> FrozenTrial:
    chosen = {
        "hidden_layers": 1,
        "hidden_1": 64 + number,
        "learning_rate": 0.001 + number / 1e4,
        "optimizer": "adam",
        **chosen,
    }
    distributions: dict[str, BaseDistribution] = {
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "optimizer": CategoricalDistribution(["adam", "adamw"]),
        "hidden_layers": IntDistribution(1, 4),
    }
    widths = {name: IntDistribution(64, 1024, log=True) for name in chosen if name not in distributions}
    made = create_trial(
        state=TrialState[state],
        value=max(values) if state == "COMPLETE" else None,
        params=chosen,
        distributions={name: (distributions | widths)[name] for name in chosen},
        intermediate_values=dict(enumerate(values, start=1)),
        user_attrs={"run_id": f"run{number}"},
    )
    made.number = number
    made.datetime_start = START + timedelta(seconds=10 * number)
    if state != "RUNNING":
        made.datetime_complete = made.datetime_start + timedelta(seconds=25 - 8 * number % 3)
    return made


STUDY = [
    trial(0, "COMPLETE", [0.5, 0.8, 0.7]),
    trial(1, "PRUNED", [0.4], hidden_layers=2, hidden_2=70),
    trial(2, "FAIL", []),
    trial(3, "COMPLETE", [0.6, 0.9], optimizer="adamw"),
    trial(4, "COMPLETE", [0.9, 0.1]),
    trial(5, "RUNNING", [0.3]),
]


def test_the_table_has_a_row_for_every_trial() -> None:
    table = trials_table(STUDY, DEFINITION)
    assert list(table["state"]) == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE", "COMPLETE", "RUNNING"]
    assert list(table["value"].fillna(-1)) == [0.8, 0.4, -1, 0.9, 0.9, 0.3]
    assert list(table["best_epoch"].fillna(-1)) == [2, 1, -1, 2, 1, 1]
    assert list(table["epochs"]) == [3, 1, 0, 2, 2, 1]
    assert list(table["hidden_2"].fillna(-1)) == [-1, 70, -1, -1, -1, -1]
    assert list(table["best_so_far"].fillna(-1)) == [0.8, 0.8, 0.8, 0.9, 0.9, -1]


def test_the_best_is_complete_and_the_first_of_equals() -> None:
    best = best_trial([*STUDY, trial(6, "PRUNED", [0.99])], DEFINITION)
    assert best is not None
    assert best.number == 3
    assert best_trial([], DEFINITION) is None
    by_loss: Definition = parse({"metric": "valid/loss", "search": {"learning_rate": None}})[0]
    lowest = best_trial(STUDY, by_loss)
    assert lowest is not None
    assert lowest.number == 0


def test_layers_are_put_together_again() -> None:
    assert chosen_of(STUDY[1], DEFINITION) == {"hidden": [65, 70], "learning_rate": 0.0011, "optimizer": "adam"}


@pytest.mark.parametrize(
    "trials",
    [
        pytest.param(STUDY, id="all states"),
        pytest.param([trial(0, "RUNNING", [])], id="one that has just begun"),
        pytest.param([trial(0, "FAIL", []), trial(1, "FAIL", [0.1])], id="failures only"),
        pytest.param([trial(0, "PRUNED", [0.1]), trial(1, "PRUNED", [0.1])], id="pruned only"),
        pytest.param([trial(number, "COMPLETE", [0.5, 0.5]) for number in range(8)], id="all the same"),
        pytest.param([trial(number, "COMPLETE", [number / 99]) for number in range(99)], id="many"),
    ],
)
@pytest.mark.parametrize("maximise", [True, False])
def test_every_figure_can_be_drawn_of_every_study(trials: list[FrozenTrial], maximise: bool) -> None:
    table = trials_table(trials, DEFINITION)
    names = {"hidden_layers": False, "hidden_1": True, "learning_rate": True, "optimizer": False}
    curves = {trial.number: trial.intermediate_values for trial in trials}
    for png in (
        figures.study_history(table, "valid/accuracy", maximise),
        figures.study_curves(table, curves, "valid/accuracy", maximise),
        figures.study_slices(table, names, "valid/accuracy", maximise),
        figures.study_parallel(table, names, "valid/accuracy", maximise),
        figures.study_timeline(table),
    ):
        image = Image.open(BytesIO(png))
        assert image.width > 500
        assert len(set(image.convert("L").get_flattened_data())) > 10  # something is drawn


def test_importances_with_and_without_any() -> None:
    for shares in ({}, {"learning_rate": 0.8, "optimizer": 0.2}):
        assert Image.open(BytesIO(figures.study_importances(shares, "valid/accuracy"))).width > 500


def test_a_table_of_nothing_is_empty() -> None:
    assert isinstance(trials_table([], DEFINITION), pd.DataFrame)
    assert len(trials_table([], DEFINITION)) == 0
