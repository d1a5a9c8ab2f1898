import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kmnist.checkpoint import Checkpoint, load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Dataset, DataSpec
from kmnist.errors import CheckpointError, SettingError
from kmnist.experiment import NullRun, Result, Run, Splits, checkpointer, prepare
from kmnist.experiment import train as train_experiment
from kmnist.registry import load_model
from kmnist.training.compute import Compute
from kmnist.training.evaluate import evaluate
from kmnist.training.fit import Epoch
from tests.memory_run import MemoryRun
from tests.nets import on_valid
from tests.nets import train as train_on_one_thread

CURVES = [
    *("train/loss", "train/accuracy", "valid/loss", "valid/accuracy", "gap/loss", "gap/accuracy"),
    *("best/valid_loss", "best/valid_accuracy", "learning_rate", "epoch_seconds", "images_per_second"),
]


def train(config: TrainConfig, splits: Splits, run: Run, folder: Path, **options: Any) -> Result:
    return train_on_one_thread(config, splits, run, folder, measure_load=lambda: {"system/cpu": 0.5}, **options)


class Stop(Exception):
    """What a caller may raise to end a training."""


def stop_after(number: int) -> object:
    def on_epoch(epoch: Epoch, best: Epoch) -> None:
        if epoch.number == number:
            raise Stop

    return on_epoch


def test_what_a_training_leaves(config: TrainConfig, splits: Splits, tmp_path: Path) -> None:
    run = MemoryRun()
    result = train(config, splits, run, tmp_path)
    assert run.params == config.as_text()
    assert run.data == splits.digests
    for name in CURVES:
        assert list(run.curve(name)) == [1, 2, 3, 4], name
    assert run.curve("gap/loss")[2] == run.curve("valid/loss")[2] - run.curve("train/loss")[2]
    assert list(run.curve("system/cpu")) == [1, 2, 3, 4]
    assert run.curve("best_epoch") == {4: result.best.number}
    assert run.curve("test/accuracy") == {result.best.number: result.test.accuracy}
    assert run.curve("test_last/accuracy") == {4: result.test_last.accuracy}
    assert run.tags["dataset"] == "sample"
    assert run.tags["precision"] == "fp32"
    assert set(run.files) == {
        *(f"figures/{name}.png" for name in ("learning_curves", "confusion_matrix", "misclassified")),
        *(f"figures/{name}.png" for name in ("samples", "class_distribution")),
        *(f"reports/{name}.csv" for name in ("per_class", "predictions", "confusions", "diagnostics")),
        *(f"reports/classification_report.{form}" for form in ("txt", "json")),
        "data.json",
    }
    assert DataSpec.from_json(json.loads(run.files["data.json"])) == splits.spec
    assert run.images == [("valid confusion", number) for number in range(5)]  # 0: before the first


def test_the_best_epoch_is_chosen_on_validation_and_its_weights_are_logged(
    splits: Splits, drawn: Dataset, tmp_path: Path
) -> None:
    config = TrainConfig.parse({"hidden": "32", "epochs": 8, "batch_size": 32, "learning_rate": 0.02})
    run = MemoryRun()
    result = train(config, splits, run, tmp_path)
    accuracies = [on_valid(epoch).accuracy for epoch in result.epochs]
    assert result.best.number == 1 + accuracies.index(max(accuracies))
    [(model, step, metrics)] = run.models
    assert step == result.best.number
    assert evaluate(model, splits.valid)[0] == result.best.valid
    assert evaluate(model, drawn.test)[0] == result.test
    assert metrics["test/accuracy"] == result.test.accuracy
    by_loss = TrainConfig.parse({**config.as_text(), "select_by": "valid_loss"})
    losses = [on_valid(epoch).loss for epoch in result.epochs]
    assert run.curve("best/valid_accuracy") == {n: max(accuracies[:n]) for n in range(1, 9)}
    assert run.curve("best/valid_loss")[8] == losses[result.best.number - 1]
    assert train(by_loss, splits, NullRun(), tmp_path).best.number == 1 + losses.index(min(losses))


def test_all_images_are_learnt_from_where_none_is_kept_for_validation(drawn: Dataset, tmp_path: Path) -> None:
    settings = {"hidden": "32", "epochs": 3, "batch_size": 32, "valid_fraction": 0, "select_by": "last"}
    config = TrainConfig.parse(settings)
    splits, run = prepare(config, drawn), MemoryRun()
    assert (len(splits.train), len(splits.valid)) == (len(drawn.train), 0)
    result = train(config, splits, run, tmp_path)
    assert (result.best.number, result.best.valid, result.test) == (3, None, result.test_last)
    assert not [name for name in run.order if name.startswith(("valid", "gap"))]
    assert run.images == []
    assert "nothing was chosen, and all training images were learnt from" in run.tags["note"]
    stopped = MemoryRun()
    with pytest.raises(Stop):
        train(config, splits, stopped, tmp_path / "b", on_epoch=stop_after(2))
    resumed = train(config, splits, stopped, tmp_path / "b", resume=load_checkpoint(tmp_path / "b"))
    assert (resumed.test, resumed.best.train) == (result.test, result.best.train)


def test_the_last_epoch_is_kept_where_nothing_is_to_be_chosen(splits: Splits, tmp_path: Path) -> None:
    settings = {"hidden": "32", "epochs": 8, "batch_size": 32, "learning_rate": 0.02, "select_by": "last"}
    run = MemoryRun()
    result = train(TrainConfig.parse(settings), splits, run, tmp_path)
    assert result.best == result.epochs[-1]
    assert result.test == result.test_last
    assert on_valid(result.best).accuracy < max(on_valid(epoch).accuracy for epoch in result.epochs)
    assert "| best" not in run.tags["note"]


def test_the_test_split_is_looked_at_once_after_the_last_epoch(
    config: TrainConfig, splits: Splits, tmp_path: Path
) -> None:
    run = MemoryRun()
    train(config, splits, run, tmp_path)
    tests = [place for place, name in enumerate(run.order) if name.startswith("test")]
    assert min(tests) > run.order.index("valid/accuracy@4")
    assert len([name for name in run.order if name.startswith("test/accuracy@")]) == 1
    unfinished = MemoryRun()
    with pytest.raises(Stop):
        train(config, splits, unfinished, tmp_path, on_epoch=stop_after(3))
    assert not [name for name in unfinished.order if name.startswith("test")]


def test_the_reports_agree_with_the_metrics(
    config: TrainConfig, splits: Splits, drawn: Dataset, tmp_path: Path
) -> None:
    run = MemoryRun()
    result = train(config, splits, run, tmp_path)
    predictions = pd.read_csv(StringIO(run.files["reports/predictions.csv"].decode()))
    assert (predictions["actual"] == predictions["predicted"]).mean() == pytest.approx(result.test.accuracy)
    assert predictions["actual"].tolist() == drawn.test.labels.tolist()
    report = json.loads(run.files["reports/classification_report.json"])
    assert report["accuracy"] == pytest.approx(result.test.accuracy)
    confused = pd.read_csv(StringIO(run.files["reports/confusions.csv"].decode()))
    assert confused["count"].is_monotonic_decreasing


def test_the_note_repeats_the_run(splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse({"arch": "dropout", "hidden": "16", "dropout": 0.1, "epochs": 1, "seed": 5})
    run = MemoryRun()
    result = train(config, splits, run, tmp_path)
    note = run.tags["note"]
    assert "kmnist train --arch dropout --hidden 16 --dropout 0.1 --epochs 1 --seed 5 --dataset sample" in note
    assert f"**{result.test.accuracy:.2%}**" in note
    assert "not on Kuzushiji-MNIST" in note


def test_patience_ends_a_training_that_gets_no_better(splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse({"hidden": "8", "epochs": 50, "learning_rate": 1e-9, "patience": 3})
    result = train(config, splits, NullRun(), tmp_path)
    assert result.epochs[-1].number == result.best.number + 3


@pytest.mark.parametrize("normalise", ["standard", "unit", "each"])
def test_a_checkpoint_is_read_however_pixels_are_normalised(normalise: str, drawn: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse({"hidden": "8", "epochs": 2, "normalise": normalise})
    train(config, prepare(config, drawn), MemoryRun(), tmp_path)
    assert load_checkpoint(tmp_path).config == config
    assert load_model(str(tmp_path)).predict(drawn.test.pixels).classes.shape == drawn.test.labels.shape


@pytest.mark.parametrize("killed_after", [1, 3, 4])
def test_resumed_equals_uninterrupted(killed_after: int, splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse(
        {"arch": "dropout", "hidden": "16", "epochs": 4, "batch_size": 64, "schedule": "onecycle"}
    )
    whole, parts = MemoryRun(), MemoryRun()
    expected = train(config, splits, whole, tmp_path / "whole")
    with pytest.raises(Stop):
        train(config, splits, parts, tmp_path / "parts", on_epoch=stop_after(killed_after))
    checkpoint = load_checkpoint(tmp_path / "parts")
    assert len(checkpoint.epochs) == killed_after
    found = train(config, splits, parts, tmp_path / "parts", resume=checkpoint)
    assert [(e.train, e.valid) for e in found.epochs] == [(e.train, e.valid) for e in expected.epochs]
    assert (found.test, found.test_last, found.best.number) == (expected.test, expected.test_last, expected.best.number)
    assert parts.files["reports/predictions.csv"] == whole.files["reports/predictions.csv"]
    assert len([point for point in parts.points if point[0] == "valid/loss"]) == 4  # none doubled


def test_a_resumed_run_computes_as_it_did(config: TrainConfig, splits: Splits, tmp_path: Path) -> None:
    """A checkpoint from a machine that is fast in bf16, where ``auto`` would be something else here."""
    automatic = TrainConfig.parse({**config.as_text(), "precision": "auto"})
    with pytest.raises(Stop):
        train(automatic, splits, MemoryRun(), tmp_path, on_epoch=stop_after(2))
    checkpoint = load_checkpoint(tmp_path)
    other = {"bf16": "fp32", "fp32": "bf16"}[checkpoint.compute.precision]
    rebuilt = replace(checkpoint, compute=Compute("cpu", other, threads=1))
    changed = train(automatic, splits, MemoryRun(), tmp_path / "a", resume=rebuilt)
    same = train(automatic, splits, MemoryRun(), tmp_path / "b", resume=checkpoint)
    assert changed.epochs[2].train.loss != same.epochs[2].train.loss
    assert load_checkpoint(tmp_path / "a").compute.precision == other


def test_what_a_killed_process_may_not_have_logged_is_logged_by_the_next(splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse({"hidden": "16", "epochs": 4})
    with pytest.raises(Stop):
        train(config, splits, MemoryRun(), tmp_path, on_epoch=stop_after(2))
    run = MemoryRun()
    train(config, splits, run, tmp_path, resume=load_checkpoint(tmp_path))
    assert list(run.curve("valid/loss")) == [1, 2, 3, 4]
    assert list(run.curve("system/cpu")) == [2, 3, 4]  # that of epoch 1 was, before there was a checkpoint of epoch 2
    assert [step for _, step in run.images] == [2, 3, 4]


def test_no_epoch_is_logged_before_its_checkpoint_is_on_disk(
    config: TrainConfig, splits: Splits, tmp_path: Path
) -> None:
    class Watching(MemoryRun):
        def log_metrics(self, metrics: object, step: int, timestamp_ms: int | None = None) -> None:
            super().log_metrics(metrics, step, timestamp_ms)  # type: ignore[arg-type]
            assert len(load_checkpoint(tmp_path).epochs) >= step

    train(config, splits, Watching(), tmp_path)


def test_a_checkpoint_is_in_the_order_of_its_file_before_the_thread_that_writes_it_has_it(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = list[Checkpoint]()
    monkeypatch.setattr(checkpointer, "save_checkpoint", lambda checkpoint, folder: found.append(checkpoint))
    config = TrainConfig.parse({"arch": "cnn", "channels": "4,8", "epochs": 1, "batch_size": 64})
    train(config, splits, MemoryRun(), tmp_path)
    parts = [found[0].model, found[0].best, found[0].optimisation]
    assert all(tensor.is_contiguous() for part in parts for tensor in part.values())


def test_a_checkpoint_of_other_images_is_refused(
    config: TrainConfig, splits: Splits, drawn: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        train(config, splits, MemoryRun(), tmp_path, on_epoch=stop_after(1))
    other = Dataset.build(drawn.spec, "", splits.train, drawn.test)
    with pytest.raises(CheckpointError, match=r"run memory was trained on other images .*--data-dir"):
        prepare(config, other, load_checkpoint(tmp_path))


def test_a_checkpoint_that_cannot_be_written_ends_the_training(config: TrainConfig, splits: Splits) -> None:
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(config, splits, NullRun(), Path("/dev/null/run"))


def test_settings_that_do_not_fit_the_data_are_told_before_anything_is_written(drawn: Dataset) -> None:
    with pytest.raises(SettingError, match="batch_size=541: must be at most the 540 training images"):
        prepare(TrainConfig.parse({"batch_size": 541}), drawn)


@pytest.mark.real_data
def test_three_epochs_on_the_real_data(kmnist: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse({"epochs": 3, "batch_size": 256})
    result = train_experiment(config, prepare(config, kmnist), kmnist.test, NullRun(), tmp_path, threads=1)
    assert on_valid(result.best).accuracy > 0.94
    assert result.test.accuracy > 0.86
