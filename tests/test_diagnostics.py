from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import calibration_curve

from kmnist.checkpoint import load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.experiment import NullRun, Splits
from kmnist.training.diagnostics import BINS, Diagnostics, calibration_error
from tests.memory_run import MemoryRun
from tests.nets import network, train

SETTINGS = {"arch": "dropout", "hidden": "32,16", "epochs": 4, "batch_size": 64, "precision": "fp32", "ema": 0.9}


class Stop(Exception):
    pass


@pytest.mark.parametrize("settings", [SETTINGS, {**SETTINGS, "arch": "cnn", "hidden": None, "channels": "4,8"}])
def test_it_changes_no_number_of_a_training(settings: dict[str, object], splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse({name: value for name, value in settings.items() if value is not None})
    train(config, splits, NullRun(), tmp_path / "with")
    train(config, splits, NullRun(), tmp_path / "without", diagnostics=False)
    first, second = (load_checkpoint(tmp_path / name) for name in ("with", "without"))
    assert [(epoch.train, epoch.valid) for epoch in first.epochs] == [(e.train, e.valid) for e in second.epochs]
    for part in ("model", "best", "optimisation"):
        for name, tensor in getattr(first, part).items():
            assert torch.equal(tensor, getattr(second, part)[name]), name


def test_what_is_measured_by_epoch(splits: Splits, tmp_path: Path) -> None:
    config, run = TrainConfig.parse(SETTINGS), MemoryRun()
    train(config, splits, run, tmp_path)
    keys = {name for name, *_ in run.points if name.startswith("diagnostics/")}
    names = ("gradient_norm", "weight_norm", "update_ratio", "dead_relus", "margin", "confidence", "calibration_error")
    assert keys == {f"diagnostics/{name}" for name in names}
    assert list(run.curve("diagnostics/margin")) == [1, 2, 3, 4]
    assert list(run.curve("diagnostics/update_ratio")) == [2, 3, 4]  # before the first epoch there is no other
    table = pd.read_csv(StringIO(run.files["reports/diagnostics.csv"].decode()))
    assert list(table["layer"][table["epoch"] == 4]) == ["fc1", "fc2", "fc3", "relu1", "relu2"]
    last = table[table["epoch"] == 4]
    assert np.sqrt((last["gradient_norm"] ** 2).sum()) == pytest.approx(
        run.curve("diagnostics/gradient_norm")[4], rel=1e-4
    )
    plain = MemoryRun()
    train(config, splits, plain, tmp_path, diagnostics=False)
    assert "reports/diagnostics.csv" not in plain.files
    assert not any(name.startswith("diagnostics/") for name, *_ in plain.points)


def test_a_resumed_run_has_the_table_of_one_that_never_stopped(splits: Splits, tmp_path: Path) -> None:
    config = TrainConfig.parse(SETTINGS)
    whole, stopped = MemoryRun(), MemoryRun()
    train(config, splits, whole, tmp_path / "whole")

    def on_epoch(epoch: object, best: object) -> None:
        if getattr(epoch, "number", 0) == 2:
            raise Stop

    with pytest.raises(Stop):
        train(config, splits, stopped, tmp_path / "b", on_epoch=on_epoch)
    with (tmp_path / "b" / "diagnostics.csv").open("a") as file:
        file.write("3,fc1,9,9,9,\n3,fc")  # an epoch whose checkpoint did not come to the disk, and a line cut off
    train(config, splits, stopped, tmp_path / "b", resume=load_checkpoint(tmp_path / "b"))
    assert stopped.files["reports/diagnostics.csv"] == whole.files["reports/diagnostics.csv"]
    for name in ("update_ratio", "gradient_norm", "calibration_error"):
        assert stopped.curve(f"diagnostics/{name}") == whole.curve(f"diagnostics/{name}")


def test_vanished_gradients_and_dead_units_are_seen() -> None:
    config = TrainConfig.parse({"hidden": "8,8"})
    model = network(config)
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (40, 28, 28)).astype(np.uint8), np.arange(40) % 10)
    none = images[np.arange(0)]
    with torch.no_grad():
        model.get_parameter("network.fc1.bias").fill_(-1e4)
    found = Diagnostics(images, none, "cpu")(model, {})
    assert found.dead_relus["relu1"] == 1.0
    norms = {layer.layer: layer.gradient_norm for layer in found.layers}
    assert norms["fc1"] == 0
    assert norms["fc3"] > 0
    assert all(weight.grad is None for weight in model.parameters())
    assert model.training


def test_calibration_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(2000, 3, generator=generator).pow(3)
    probabilities /= probabilities.sum(dim=1, keepdim=True)
    labels = torch.randint(3, (2000,), generator=generator)
    confidence, predicted = probabilities.max(dim=1)
    hit = (predicted == labels).numpy()
    share, mean = calibration_curve(hit, confidence.numpy(), n_bins=BINS)
    counts = np.histogram(confidence.numpy(), np.linspace(0, 1, BINS + 1))[0]
    expected = (np.abs(share - mean) * counts[counts > 0]).sum() / len(hit)
    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-4)
