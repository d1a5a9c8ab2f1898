"""The table and the pictures of a study, from trials that were never trained."""

from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from PIL import Image
from playwright.sync_api import Browser

from kmnist import figures
from kmnist.tuning.definition import Definition, parse
from kmnist.tuning.interactive import interactive_page
from kmnist.tuning.table import best_trial, chosen_of, trials_table

pytestmark = pytest.mark.figures

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
def test_the_history_can_be_drawn_of_every_study(trials: list[FrozenTrial], maximise: bool) -> None:
    table = trials_table(trials, DEFINITION)
    image = Image.open(BytesIO(figures.study_history(table, "valid/accuracy", maximise)))
    assert image.width > 500
    assert len(set(image.convert("L").get_flattened_data())) > 10  # something is drawn


@pytest.mark.slow
def test_the_page_of_a_study_fits_the_window_and_needs_no_network(browser: Browser, tmp_path: Path) -> None:
    study = optuna.create_study(study_name="</script><b>mine", direction="maximize")
    trials = [trial(number, "COMPLETE", [number / 99, number / 50]) for number in range(12)]
    study.add_trials([*trials, trial(12, "PRUNED", [0.01])])
    page = interactive_page(study, DEFINITION, {"learning_rate": 0.8, "optimizer": 0.2})
    assert len(page) < 2_500_000
    (tmp_path / "page.html").write_text(page)
    for width in (800, 1400):
        look_at(browser, tmp_path / "page.html", width)


def look_at(browser: Browser, path: Path, width: int) -> None:
    opened = browser.new_page(viewport={"width": width, "height": 900})
    problems: list[str] = []
    asked: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(path.as_uri())
    opened.wait_for_selector("#wait", state="detached")
    assert (problems, asked) == ([], [path.as_uri()])
    assert opened.locator(".js-plotly-plot").count() == 6
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert opened.locator("h1").text_content() == "Study </script><b>mine"
    assert "12 complete trials" in (opened.locator("body").text_content() or "")
    opened.close()


def test_a_table_of_nothing_is_empty() -> None:
    assert isinstance(trials_table([], DEFINITION), pd.DataFrame)
    assert len(trials_table([], DEFINITION)) == 0
