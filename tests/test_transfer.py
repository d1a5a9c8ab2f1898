"""Weights from elsewhere: what fits is taken, what is frozen stays, what is kept learns more slowly."""

import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from kmnist.checkpoint import load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Dataset, DataSpec
from kmnist.data.kmnist import SPEC
from kmnist.data.spec import labels
from kmnist.errors import SettingError
from kmnist.experiment import NullRun, Splits, prepare, train, train_epochs
from kmnist.models.torchvision_cpu import torchvision_module
from kmnist.models.transfer import InitialWeights, freeze, load_initial, stages
from kmnist.registry import fetch_initial
from tests.nets import network, on_valid
from tests.test_hostile_pictures import Code

CNN = {"arch": "cnn", "channels": "4,8", "epochs": "3", "batch_size": "64", "learning_rate": "0.01"}
FIVE = DataSpec("five", "Five", labels("abcde"))


def weights_of(config: TrainConfig, spec: DataSpec = SPEC) -> InitialWeights:
    return InitialWeights("somewhere", "0" * 64, network(config, spec).state_dict())


def test_all_but_a_last_layer_of_other_classes_is_taken() -> None:
    config = TrainConfig.parse(CNN)
    initial = weights_of(TrainConfig.parse({**CNN, "seed": "1"}), FIVE)
    model = network(config)
    fresh = network(config).state_dict()
    taken = load_initial(model, initial)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, initial.weights[name] if name in taken else fresh[name]), name
    assert {name for name in fresh if name not in taken} == {"network.classes.weight", "network.classes.bias"}


def test_weights_of_another_structure_are_told_with_their_shapes() -> None:
    with pytest.raises(SettingError) as told:
        load_initial(network(TrainConfig.parse(CNN)), weights_of(TrainConfig.parse({**CNN, "channels": "5,8"})))
    assert "init_from=somewhere: its weights do not fit" in str(told.value)
    assert "network.conv1.weight: (5, 1, 3, 3) there, (4, 1, 3, 3) here" in str(told.value)
    with pytest.raises(SettingError, match=r"network\.conv1\.weight: missing there.*and \d+ more"):
        load_initial(network(TrainConfig.parse(CNN)), weights_of(TrainConfig.parse({})))


def test_what_is_frozen_stays_and_the_rest_does_not(splits: Splits, drawn: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse({**CNN, "freeze": "conv1, norm1", "optimizer": "adamw", "weight_decay": "0.1"})
    before = network(config).state_dict()
    trained = train_epochs(config, splits, NullRun(), tmp_path, threads=1)
    for name, weight in trained.last_weights.items():
        if name.startswith(("network.conv1", "network.norm1")):
            assert torch.equal(weight, before[name]), name  # a norm's statistics, too
        elif name.endswith("weight"):
            assert not torch.equal(weight, before[name]), name


@pytest.mark.parametrize("layer", ["conv3", "conv", "network.conv1", "classes.weight"])
def test_a_layer_that_is_not_there_is_told(layer: str) -> None:
    with pytest.raises(SettingError, match=f"freeze={layer}: the network has no such layer; it has: conv1, norm1"):
        freeze(network(TrainConfig.parse(CNN)), layer)


def test_to_freeze_everything_is_told() -> None:
    model = network(TrainConfig.parse(CNN))
    with pytest.raises(SettingError, match="nothing is left to train"):
        freeze(model, ",".join(stages(model)))


def test_kept_weights_learn_more_slowly(splits: Splits, tmp_path: Path) -> None:
    initial = weights_of(TrainConfig.parse({**CNN, "seed": "1"}), FIVE)
    moved = {}
    for share in ("1", "0.01"):
        config = TrainConfig.parse({**CNN, "kept_rate": share, "optimizer": "sgd", "epochs": "1"})
        trained = train_epochs(config, splits, NullRun(), tmp_path / share, threads=1, initial=initial)
        first = trained.last_weights["network.conv2.weight"] - initial.weights["network.conv2.weight"]
        moved[share] = first.norm().item()
    assert moved["0.01"] < 0.1 * moved["1"]


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_a_resumed_transfer_is_bit_for_bit_uninterrupted(
    optimizer: str, splits: Splits, drawn: Dataset, tmp_path: Path
) -> None:
    """All at once: kept and frozen weights, a running average, warm-up, clipping, augmentation."""
    config = TrainConfig.parse(
        {**CNN, "epochs": "4", "optimizer": optimizer, "kept_rate": "0.1", "freeze": "conv1", "ema": "0.9",
         "warmup": "0.3", "clip": "1", "augment": "strong", "mixup": "0.4", "cutmix": "1", "schedule": "plateau"}
    )  # fmt: skip
    initial = weights_of(TrainConfig.parse({**CNN, "seed": "1"}), FIVE)
    whole = train(config, splits, drawn.test, NullRun(), tmp_path / "whole", threads=1, initial=initial)

    def stop(epoch: object, best: object) -> None:
        if getattr(epoch, "number", 0) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, splits, drawn.test, NullRun(), tmp_path / "parts", threads=1, initial=initial, on_epoch=stop)
    checkpoint = load_checkpoint(tmp_path / "parts")
    resumed = train(config, splits, drawn.test, NullRun(), tmp_path / "parts", resume=checkpoint)
    assert [(epoch.train, epoch.valid) for epoch in resumed.epochs] == [(e.train, e.valid) for e in whole.epochs]
    assert (resumed.test, resumed.test_last) == (whole.test, whole.test_last)


def test_a_net_that_knows_five_classes_helps_with_the_other_five(drawn: Dataset, tmp_path: Path) -> None:
    """The point of it all, small: after one epoch on few images the tuned net is ahead of the same net from scratch."""
    config = TrainConfig.parse({**CNN, "channels": "8,16", "epochs": "12"})
    splits = prepare(config, drawn)
    teacher = train_epochs(config, splits, NullRun(), tmp_path / "teacher", threads=1)
    initial = InitialWeights("teacher", "0" * 64, teacher.best_weights)
    short = TrainConfig.parse({**CNN, "channels": "8,16", "epochs": "1", "seed": "3"})
    tuned = train_epochs(short, splits, NullRun(), tmp_path / "tuned", threads=1, initial=initial)
    scratch = train_epochs(short, splits, NullRun(), tmp_path / "scratch", threads=1)
    assert on_valid(tuned.best).accuracy > on_valid(scratch.best).accuracy + 0.2


# Where the weights come from.


def fetched(source: str, **settings: str) -> InitialWeights:
    found = fetch_initial(TrainConfig.parse({"init_from": source, **settings}))
    assert found is not None
    return found


def test_a_checkpoint_and_a_file_of_weights_give_the_same(splits: Splits, drawn: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse(CNN)
    trained = train_epochs(config, splits, NullRun(), tmp_path / "run", threads=1)
    safetensors.torch.save_file(
        {name: weight.contiguous() for name, weight in trained.best_weights.items()}, tmp_path / "weights.safetensors"
    )
    from_checkpoint, from_file = fetched(str(tmp_path / "run")), fetched(str(tmp_path / "weights.safetensors"))
    assert from_checkpoint.digest == from_file.digest
    model = network(config)
    assert len(load_initial(model, from_file)) == len(model.state_dict())
    assert fetch_initial(config) is None


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("nowhere", {}, "init_from=nowhere: .*must be models:/NAME@ALIAS"),
        ("no.safetensors", {}, "init_from=no.safetensors: .*No such file"),
        ("pickle.safetensors", {}, "init_from=pickle.safetensors: .*[Hh]eader"),
        ("imagenet", {}, "init_from=imagenet: arch=plain is none of torchvision's; those are: resnet18"),
        ("imagenet", {"arch": "resnet18"}, r"init_from=imagenet: the weights of resnet18 cannot be had \("),
    ],
)
def test_what_cannot_be_had_is_told(
    source: str, settings: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody is there
    torch.save({"a": 1}, tmp_path / "pickle.safetensors")
    with pytest.raises(SettingError, match=message):
        fetched(source, **settings)


def test_imagenets_weights_fit_but_for_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision looks into its cache before it asks its host; the file there is of the published form."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    models = torchvision_module("models")
    published = models.get_model("resnet18", num_classes=1000).state_dict()
    file = tmp_path / "hub" / "checkpoints" / models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(published, file)
    model = network(TrainConfig.parse({"arch": "resnet18"}))
    taken = load_initial(model, fetched("imagenet", arch="resnet18"))
    assert torch.equal(model.state_dict()["network.body.layer1.0.conv1.weight"], published["layer1.0.conv1.weight"])
    assert torch.allclose(
        model.state_dict()["network.body.conv1.weight"], published["conv1.weight"].sum(1, keepdim=True)
    )
    assert not [name for name in taken if "body.fc" in name]


@pytest.mark.parametrize("bad", ["evil", "evil.safetensors"])
def test_a_pickle_is_not_opened(bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(bad).write_bytes(pickle.dumps(Code()))
    with pytest.raises(SettingError, match="init_from=evil"):
        fetched(bad)
    assert not (tmp_path / "it ran").exists()
