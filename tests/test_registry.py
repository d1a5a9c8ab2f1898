"""Versions, the gate before an alias, and loading: on real runs on Kuzushiji-MNIST, of a moment's training."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset, load_dataset
from kmnist.errors import ModelError, SettingError, TrackingError
from kmnist.experiment import prepare
from kmnist.experiment import train as train_experiment
from kmnist.pictures.formats import READABLE
from kmnist.registry import Rollback, find_best, list_versions, load_model, promote, register, rollback
from kmnist.tracking import MlflowRun, connect, create_run, reopen_run
from tests.commands import Command
from tests.test_datasets import idx_folder

pytestmark = [pytest.mark.real_data, pytest.mark.figures]
CHAMPION = "models:/kmnist@champion"

__all__ = ["idx_folder"]  # a fixture


def train_run(client: MlflowClient, data: Dataset, folder: Path, **settings: Any) -> str:
    config = TrainConfig.parse({"hidden": "32", "epochs": 1, "batch_size": 512, "precision": "fp32", **settings})
    entity = create_run(client, "e", "a run")
    with MlflowRun(client, entity, folder / entity.info.run_id) as run:
        train_experiment(config, prepare(config, data), data.test, run, run.folder, threads=1)
    return str(entity.info.run_id)


@pytest.fixture(scope="module")
def trained(template_store: Path, kmnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with three runs: a weak one, a better one, and one of the sample set."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(template_store, folder / "mlflow.db")
    before = Path.cwd()
    os.chdir(folder)
    try:
        client = connect(f"sqlite:///{folder / 'mlflow.db'}")
        runs = [
            train_run(client, kmnist, folder / "runs", learning_rate=rate, seed=seed)
            for rate, seed in ((1e-4, 0), (1e-2, 0))
        ]
    finally:
        os.chdir(before)
    return folder, runs


@pytest.fixture
def place(trained: tuple[Path, list[str]], store: str, tmp_path: Path) -> tuple[MlflowClient, str, str]:
    """A client of a copy of that store, and the ids of the weak and the better run."""
    shutil.copy(trained[0] / "mlflow.db", tmp_path / "mlflow.db")
    weak, better = trained[1]
    return connect(store), weak, better


Place = tuple[MlflowClient, str, str]


def test_a_run_becomes_a_version_once(place: Place) -> None:
    client, weak, better = place
    version = register(client, weak)
    assert (version.name, str(version.version), version.run_id) == ("kmnist", "1", weak)
    assert register(client, weak).version == version.version
    assert str(register(client, better).version) == "2"
    tags = client.get_model_version("kmnist", "2").tags
    run = client.get_run(better)
    assert float(tags["test_accuracy"]) == run.data.metrics["test/accuracy"]
    assert (tags["arch"], tags["run"]) == ("plain", better)
    assert [found.number for found in list_versions(client)] == [2, 1]


def test_the_best_of_an_experiment_is_the_best_on_validation(place: Place) -> None:
    client, _, better = place
    assert find_best(client, "e") == better
    with pytest.raises(ModelError, match=r"there is no study and no experiment 'x'; the experiments are: .*e"):
        find_best(client, "x")


def test_a_deleted_run_is_neither_the_best_nor_registered_nor_promoted(place: Place, kmnist: Dataset) -> None:
    client, weak, better = place
    register(client, better)
    client.delete_run(better)
    assert find_best(client, "e") == weak
    told = f"run {better} is deleted; to have it back: mlflow runs restore --run-id {better}"
    with pytest.raises(ModelError, match=told):
        register(client, better)
    with pytest.raises(ModelError, match=told):
        promote(client, "1", "champion", kmnist)
    with pytest.raises(TrackingError, match=told):
        reopen_run(client, better)
    client.restore_run(better)
    promote(client, "1", "champion", kmnist)


def test_the_best_is_found_behind_any_number_of_models_that_are_not_registered(place: Place) -> None:
    client, _, better = place
    experiment = client.get_run(better).info.experiment_id
    other = client.create_run(experiment, tags={"dataset": "sample"}).info.run_id
    for number in range(120):
        model = client.create_logged_model(experiment, f"m{number}", source_run_id=other)
        client.log_metric(other, "valid/accuracy", 1.0, model_id=model.model_id)
    deleted = client.create_run(experiment, tags={"dataset": "kmnist", "data.official": "true"}).info.run_id
    model = client.create_logged_model(experiment, "gone", source_run_id=deleted)
    client.log_metric(deleted, "valid/accuracy", 1.0, model_id=model.model_id)
    client.delete_run(deleted)
    assert find_best(client, "e") == better


def test_the_best_of_a_study_is_what_its_confirmation_offers(place: Place) -> None:
    client, weak, _ = place
    study = create_run(client, "e", "study s").info.run_id
    client.set_tag(study, "kind", "study")
    client.set_tag(study, "study", "s")
    with pytest.raises(ModelError, match="has not confirmed its best settings yet: kmnist tune --study s"):
        find_best(client, "s")
    client.set_tag(study, "study.offered_run", weak)
    assert find_best(client, "s") == weak


def test_promotion_and_the_way_back(place: Place, kmnist: Dataset) -> None:
    client, weak, better = place
    for run_id in (weak, better):
        register(client, run_id)
    assert all(verdict.passed for verdict in promote(client, "1", "champion", kmnist))
    verdicts = promote(client, "2", "champion", kmnist)
    compared = {verdict.check: verdict.found for verdict in verdicts}["as_good_on_validation"]
    assert "on 6,000 images" in compared  # same seed, same split: all of it
    with pytest.raises(ModelError, match="version 1 is not promoted to champion:\n  as_good_on_validation: "):
        promote(client, "1", "champion", kmnist)
    assert client.get_model_version("kmnist", "1").tags["gate"] == "refused"
    assert client.get_model_version("kmnist", "1").tags["gate.as_good_on_validation"].startswith("FAILED")
    assert str(client.get_model_version_by_alias("kmnist", "champion").version) == "2"
    assert rollback(client, "champion") == Rollback("2", "1", [])
    with pytest.raises(ModelError, match="version 1 is the first that had the alias"):
        rollback(client, "champion")
    promote(client, "2", "champion", kmnist)
    promote(client, "1", "champion", kmnist, force=True)
    assert client.get_model_version("kmnist", "1").tags["gate"] == "forced"
    assert [version.aliases for version in list_versions(client)] == [[], ["champion"]]


def test_a_test_accuracy_that_does_not_repeat_is_refused(place: Place, kmnist: Dataset) -> None:
    client, weak, _ = place
    register(client, weak)
    client.log_metric(weak, "test/accuracy", 0.99, step=10)
    with pytest.raises(ModelError, match=r"test_accuracy_repeats: 0\.\d+ measured, 0.99 logged by the run"):
        promote(client, "1", "champion", kmnist)


def test_what_cannot_be_registered_or_promoted(place: Place, kmnist: Dataset) -> None:
    client, weak, _ = place
    with pytest.raises(ModelError, match="there is no run 'nothing'"):
        register(client, "nothing")
    with pytest.raises(
        ModelError, match="there is no registered model 'kmnist'; there are: none; kmnist register RUN_ID"
    ):
        promote(client, "7", "champion", kmnist)
    empty = create_run(client, "e", "empty").info.run_id
    with pytest.raises(ModelError, match="is not a training of kmnist"):
        register(client, empty)
    client.set_tag(empty, "dataset", "kmnist")
    with pytest.raises(ModelError, match="has no model: it has not finished, or is a trial"):
        register(client, empty)
    with pytest.raises(ModelError, match="there is no registered model 'kmnist': nothing has an alias"):
        rollback(client, "champion")
    register(client, weak)
    with pytest.raises(ModelError, match="'kmnist' has no version 7; there are: 1"):
        promote(client, "7", "champion", kmnist)
    with pytest.raises(ModelError, match="'kmnist' has no version 1'; there are: 1"):
        promote(client, "1'", "champion", kmnist)
    with pytest.raises(ModelError, match="no version has the alias 'champion'"):
        rollback(client, "champion")


@pytest.mark.parametrize("alias", ["latest", "LATEST", "v1", "a b", "", "a" * 201, "é/ü"])
def test_what_can_be_no_alias_is_refused_before_anything_is_measured(alias: str, place: Place, drawn: Dataset) -> None:
    client, weak, _ = place
    register(client, weak)
    for move in (lambda: promote(client, "1", alias, drawn, force=True), lambda: rollback(client, alias)):
        with pytest.raises(SettingError, match=f"alias='{alias[:80]}'.*: .*; a good one: champion"):
            move()
    assert "gate" not in client.get_model_version("kmnist", "1").tags


def test_every_name_of_a_model_loads_the_same(place: Place, kmnist: Dataset, tmp_path: Path) -> None:
    client, weak, _ = place
    register(client, weak)
    promote(client, "1", "champion", kmnist)
    [logged] = client.search_logged_models([client.get_run(weak).info.experiment_id], f"source_run_id = '{weak}'")
    saved = mlflow.artifacts.download_artifacts(f"models:/{logged.model_id}", dst_path=str(tmp_path / "saved"))
    images = kmnist.test.pixels[:100]
    answers = [
        load_model(uri).predict(images).probabilities
        for uri in (CHAMPION, "models:/kmnist/1", f"models:/{logged.model_id}", f"runs:/{weak}/model", saved)
    ]
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_a_model_on_disk_needs_no_tracking_store(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(load_model(str(saved), tracking_uri="no://such/store").predict(np.zeros((2, 28, 28)))) == 2
    assert not list(tmp_path.iterdir())
    with pytest.raises(TrackingError, match="the tracking server has not done what it was asked"):
        load_model("models:/kmnist@champion", tracking_uri="no://such/store")


def test_a_checkpoint_loads_its_best_weights(kmnist: Dataset, tmp_path: Path) -> None:
    from kmnist.experiment import NullRun

    config = TrainConfig.parse({"hidden": "16", "epochs": 1, "batch_size": 512, "precision": "fp32"})
    result = train_experiment(config, prepare(config, kmnist), kmnist.test, NullRun(), tmp_path, threads=1)
    classes = load_model(str(tmp_path / "checkpoint.safetensors")).predict(kmnist.test.pixels).classes
    assert (classes == kmnist.test.labels).mean() == result.test.accuracy
    assert len(load_model(str(tmp_path)).predict(kmnist.test.pixels[:3])) == 3


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("models:/kmnist@chmpion", r"has no alias 'chmpion'; there are: kmnist@champion \(version 1\)"),
        ("models:/kmnist/9", "has no version 9; there are: 1"),
        ("models:/other@champion", "there is no registered model 'other'; there are: kmnist"),
        ("runs:/nothing/model", "there is no run 'nothing' on this server"),
        ("models:/m-0123", "there is no such logged model on this server"),
        ("models:/kmnist", "must be models:/NAME@ALIAS"),
        ("models:/kmnist@a/b", "must be models:/NAME@ALIAS"),
        ("a" * 5_000, "File name too long"),
        ("\0", "must be models:/NAME@ALIAS"),
        ("no/such/folder", "must be models:/NAME@ALIAS"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_those_that_are(uri: str, message: str, place: Place) -> None:
    client, weak, _ = place
    register(client, weak)
    client.set_registered_model_alias("kmnist", "champion", "1")
    with pytest.raises(ModelError, match=message):
        load_model(uri)


def test_the_commands(place: Place, kmnist_command: Command, kmnist: Dataset, tmp_path: Path) -> None:
    _, weak, _ = place

    def run(*arguments: str) -> str:
        done = kmnist_command(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "nothing is registered" in run("models")
    assert "version 1 of kmnist: a run: test accuracy" in run("register", weak)
    assert "version 2 of kmnist" in run("register", "--best", "e")
    assert "models:/kmnist@champion is now version 1" in run("promote", "1")
    promoted = run("promote", "2")
    assert promoted.count("passed") == 4
    table = run("models")
    assert table.splitlines()[1].split()[:3] == ["2", "champion", "plain"]
    assert "is now version 1, no longer 2" in run("rollback")
    refused = kmnist_command("register")
    assert (refused.returncode, refused.stderr) == (1, "kmnist: give either a run's id or --best STUDY_OR_EXPERIMENT\n")


def test_predict_gives_the_runs_accuracy_to_the_last_digit(
    place: Place,
    kmnist_command: Command,
    kmnist: Dataset,
    tmp_path: Path,
) -> None:
    client, _, better = place
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(kmnist.test.pixels):
        Image.fromarray(image).save(folder / f"{number:05d}.png", compress_level=0)
    (folder / "damaged.png").write_bytes(b"nothing")
    model = f"runs:/{better}/model"
    done = kmnist_command("predict", str(folder), "--model", model, "--raw", "--out", "answers.parquet")
    assert done.returncode == 1
    assert "1 of the pictures could not be read; the answers say why" in done.stderr
    answers = pd.read_parquet("answers.parquet")
    assert len(answers) == 10_001
    good = answers[answers["error"] == ""]
    accuracy = int((good["class"].to_numpy() == kmnist.test.labels).sum()) / 10_000
    assert accuracy == client.get_run(better).data.metrics["test/accuracy"]
    [failed] = answers[answers["error"] != ""].to_dict("records")
    assert failed["error"] == f"not a picture; {READABLE} can be read"

    some = [str(folder / f"{number:05d}.png") for number in range(3)]
    lines = kmnist_command(
        *("predict", *some, str(folder / "damaged.png"), "--model", model, "--raw"),
        *("--format", "json", "--explain", "why.png"),
    ).stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row.get("class") for row in rows] == [*answers["class"][:3], None]
    assert "not a picture" in rows[3]["error"]
    with Image.open("why.png") as why:
        assert why.height > 1000
    shown = kmnist_command("predict", *some, str(folder / "damaged.png"), "--model", model)
    assert "not a picture" in shown.stdout
    assert shown.returncode == 1


def distort(image: Any, size: int, dark: bool) -> Any:
    large = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
    picture = np.zeros((size + 80, size + 60), np.uint8)
    picture[50 : 50 + size, 5 : 5 + size] = large
    return 255 - picture if dark else picture


@pytest.mark.parametrize("dark", [False, True])
def test_enlarged_inverted_shifted_and_padded_pictures_lose_little(dark: bool, place: Place, kmnist: Dataset) -> None:
    from kmnist.inference import to_kmnist

    _, _, better = place
    model, count = load_model(f"runs:/{better}/model"), 1_000
    images, labels = kmnist.test.pixels[:count], kmnist.test.labels[:count]
    as_they_are = (model.predict(images).classes == labels).mean()
    changed = np.stack([to_kmnist(distort(image, 200, dark)) for image in images])
    assert (model.predict(changed).classes == labels).mean() >= as_they_are - 0.03


def test_the_library(place: Place, kmnist: Dataset) -> None:
    from kmnist import load_model as from_the_top

    _, weak, _ = place
    predictions = from_the_top(f"runs:/{weak}/model").predict(kmnist.test.pixels[:5])
    assert len(predictions.kana) == 5


def test_a_model_of_another_data_set_has_a_registry_of_its_own(
    idx_folder: Path, drawn: Dataset, store: str, tmp_path: Path
) -> None:
    client, data = connect(store), load_dataset(str(idx_folder), tmp_path)
    config = TrainConfig.parse({"hidden": "8", "epochs": "1", "valid_fraction": "0.2", "dataset": str(idx_folder)})
    entity = create_run(client, "e", "fashion")
    with MlflowRun(client, entity, tmp_path / "run") as run:
        train_experiment(config, prepare(config, data), data.test, run, run.folder, threads=1)
    version = register(client, run.id)
    assert (version.name, int(version.version)) == ("fashion-mnist", 1)
    description = client.get_registered_model("fashion-mnist").description
    assert description is not None
    assert description.startswith("Fashion MNIST. Served")

    with pytest.raises(ModelError, match=r"trained_on_this_data: trained on Fashion MNIST, .*; measured on the drawn"):
        promote(client, "1", "champion", drawn, name="fashion-mnist")
    verdicts = promote(client, "1", "champion", data, name="fashion-mnist")
    assert all(verdict.passed for verdict in verdicts), verdicts
    model = load_model("models:/fashion-mnist@champion", tracking_uri=store)
    assert model.spec == data.spec
    assert set(model.predict(data.test.pixels).kana) <= {label.text for label in data.spec.classes}
    with pytest.raises(ModelError, match="no registered model 'kmnist'; there are: fashion-mnist"):
        list_versions(client)


def test_a_registry_of_its_own_is_heeded_everywhere(
    place: Place, kmnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, weak, better = place
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path / 'registry.db'}")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = connect(uri)
    for run_id in (weak, better):
        register(client, run_id)
    promote(client, "1", "champion", kmnist)
    promote(client, "2", "champion", kmnist)
    assert rollback(client, "champion").after == "1"
    assert len(load_model(CHAMPION, tracking_uri=uri).predict(kmnist.test.pixels[:5]).kana) == 5
    assert [version.number for version in list_versions(client)] == [2, 1]
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert list_versions(connect(uri)) == []
