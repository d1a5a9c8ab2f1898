"""Where do I add one? One file and one line: here a toy of each kind comes from outside of the package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from kmnist.config import TrainConfig
from kmnist.data import DATASETS, load_dataset
from kmnist.data.forms import FORMS, Form
from kmnist.errors import SettingError
from kmnist.experiment import prepare, train
from kmnist.experiment.results import FIGURES
from kmnist.metrics import METRICS
from kmnist.models.families import FAMILIES
from kmnist.report import SECTIONS, Report, report_files
from kmnist.settings import Registry
from kmnist.training.settings import OPTIMIZERS, SCHEDULES
from kmnist.tuning.definition import PRUNERS, SAMPLERS, Method, parse
from kmnist.tuning.pruners import build_pruner
from kmnist.tuning.samplers import build_sampler
from tests import toys
from tests.memory_run import MemoryRun

REGISTRIES: dict[str, tuple[Registry[Any], str]] = {
    "line": (FAMILIES, "tests.toys:LINE"),
    "signs": (OPTIMIZERS, "tests.toys:signs"),
    "falling": (SCHEDULES, "tests.toys:falling"),
    "least_recall": (METRICS, "tests.toys:least_recall"),
    "middle": (SAMPLERS, "tests.toys:middle"),
    "impatient": (PRUNERS, "tests.toys:IMPATIENT"),
}


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(DATASETS, "squares", lambda folder, progress: toys.squares())
    monkeypatch.setitem(FORMS, "text", Form(toys.text_pictures, "a .txt file"))
    monkeypatch.setitem(FIGURES, "dot", toys.dot)
    monkeypatch.setitem(SECTIONS, "count", toys.count)
    for name, (registry, place) in REGISTRIES.items():
        registry.add(name, place)
    yield
    for name, (registry, _) in REGISTRIES.items():
        registry.remove(name)


SETTINGS = {"arch": "line", "gain": "0.5", "optimizer": "signs", "schedule": "falling", "dataset": "squares"}


def test_a_training_of_toys(tmp_path: Path) -> None:
    config = TrainConfig.parse({**SETTINGS, "epochs": 5, "batch_size": 108, "learning_rate": 0.01})
    data = load_dataset(config.dataset, tmp_path)
    run = MemoryRun()
    result = train(config, prepare(config, data), data.test, run, tmp_path, threads=1)
    assert result.test.accuracy > 0.9
    assert result.epochs[-1].learning_rate == pytest.approx(0.002)
    assert run.params["gain"] == "0.5"
    assert run.params["arch"] == "line"
    assert run.files["figures/dot.png"] == str(result.test.accuracy).encode()
    assert list(run.curve("valid/least_recall")) == [1, 2, 3, 4, 5]
    assert run.curve("test/least_recall")
    assert "middle □" in run.files["reports/classification_report.txt"].decode()


def test_a_form_of_toys(tmp_path: Path) -> None:
    path = tmp_path / "bars.txt"
    path.write_text("a #...\nb ...#\n" * 5)
    data = load_dataset(str(path), tmp_path)
    assert data.spec.shape == (2, 2)
    assert [label.text for label in data.spec.classes] == ["a", "b"]
    assert len(data.train) + len(data.test) == 10


def test_its_settings_are_its_own() -> None:
    assert TrainConfig.parse({"arch": "line"}).changed() == {"arch": "line"}
    assert "arch=line has no hidden; leave it out, or use arch=plain or dropout" in _refusal(
        {**SETTINGS, "hidden": "9"}
    )
    assert "arch=plain has no gain; leave it out, or use arch=line" in _refusal({"arch": "plain", "gain": "2"})


def test_a_study_of_toys() -> None:
    given = {**SETTINGS, "sampler": "middle", "pruner": "impatient", "search": {"learning_rate": None}}
    definition, _ = parse(given)
    assert definition.method == Method.parse({"sampler": "middle", "pruner": "impatient"})
    study = optuna.create_study(sampler=build_sampler(definition, 1, 0), pruner=build_pruner(definition))
    trial = study.ask()
    assert trial.suggest_float("learning_rate", 0.0001, 0.01) == 0.005
    trial.report(0.5, 1)
    assert trial.should_prune()


def test_a_report_with_a_toy() -> None:
    files = report_files(Report("none", []))
    assert '<section id="count" aria-labelledby="count-title">' in files["report.html"].decode()
    assert "## Count\n\nIt is of **0** runs.\n" in files["report.md"].decode()
    assert '"count": {"runs": 0}' in files["report.html"].decode()


def _refusal(settings: dict[str, str]) -> str:
    with pytest.raises(SettingError) as told:
        TrainConfig.parse(settings)
    return str(told.value)
