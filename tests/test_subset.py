"""Which images one training learns from, and how much each of them counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kmnist.checkpoint import load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Dataset, held_out_indices
from kmnist.errors import CheckpointError, SettingError
from kmnist.experiment import Splits, prepare
from kmnist.training.fit import Weights, fit
from kmnist.training.subset_settings import all_but_fold
from tests.memory_run import MemoryRun
from tests.nets import ONE_THREAD, network, train


def prepared(drawn: Dataset, **settings: object) -> Splits:
    return prepare(TrainConfig.parse({"batch_size": 8, **settings}), drawn)


def test_seeds_with_one_split_seed_keep_the_same_images(drawn: Dataset) -> None:
    assert prepared(drawn, seed=3).digests == prepared(drawn, seed=9, split_seed=3).digests
    assert prepared(drawn, seed=3).digests != prepared(drawn, seed=9).digests
    configs = [TrainConfig.parse({"seed": seed}) for seed in (1, 2)]
    both = held_out_indices(drawn.train, [split for config in configs for split in config.splits])
    assert 0 < len(both) < 60  # of 600, a tenth of a tenth by chance


def test_folds_share_no_image_and_leave_none_out(drawn: Dataset) -> None:
    whole = prepared(drawn)
    parts = [prepared(drawn, subset=all_but_fold(number, 3), seed=number, split_seed=0) for number in (1, 2, 3)]
    assert [len(part.train) for part in parts] == [360] * 3
    assert {part.valid.digest for part in parts} == {whole.valid.digest}
    left_out = [
        {image.tobytes() for image in whole.train.pixels} - {i.tobytes() for i in p.train.pixels} for p in parts
    ]
    assert sum(map(len, left_out)) == len(set.union(*left_out)) == 540


def test_a_bootstrap_is_drawn_from_the_seed_and_from_training_images_only(drawn: Dataset) -> None:
    one, same, other = (prepared(drawn, subset="bootstrap", seed=seed, split_seed=0) for seed in (1, 1, 2))
    assert one.digests == same.digests != other.digests
    assert len(one.train) == 540
    assert 300 < len(np.unique(one.train.pixels, axis=0)) < 380  # 63 %
    valid = {image.tobytes() for image in one.valid.pixels}
    assert not valid & {image.tobytes() for image in one.train.pixels}


@pytest.mark.parametrize("subset", ["some", "not-0/5", "not-6/5", "not-1/1", "not-1/500", "not-/"])
def test_what_is_no_subset_is_refused(subset: str) -> None:
    with pytest.raises(
        SettingError, match=rf"subset={subset}: must be all, bootstrap, or all but one of several folds"
    ):
        TrainConfig.parse({"subset": subset})


def test_more_folds_than_images_of_a_class_are_refused(drawn: Dataset) -> None:
    with pytest.raises(SettingError, match="99 folds: a class has only 54 training images; give fewer folds"):
        prepared(drawn, subset="not-1/99")


@pytest.mark.parametrize("more", [{"label_smoothing": 0.1}, {"mixup": 0.4}])
def test_weights_of_images(config: TrainConfig, splits: Splits, more: dict[str, float]) -> None:
    settings = TrainConfig.parse({**config.as_text(), **more})
    images = len(splits.train)

    def losses(weights: Weights | None) -> list[float]:
        epochs = fit(network(settings), splits.train, splits.valid, settings, ONE_THREAD, weights=weights)
        return [epoch.train.loss for epoch in epochs]

    assert losses(np.ones(images, np.float32)) == pytest.approx(losses(None), rel=1e-4)
    # An image that counts for nothing may as well have another label.
    counts = np.where(splits.train.labels == 3, 0, 10 / 9).astype(np.float32)
    wrong = replace(splits.train, labels=np.where(splits.train.labels == 3, 4, splits.train.labels))
    if "mixup" not in more:  # where it is mixed into others
        epochs = fit(network(settings), wrong, splits.valid, settings, ONE_THREAD, weights=counts)
        assert [epoch.train.loss for epoch in epochs] == losses(counts)


def test_a_weighted_training_goes_on_bit_for_bit(config: TrainConfig, drawn: Dataset, tmp_path: Path) -> None:
    images = len(prepare(config, drawn).train)
    weights = np.random.default_rng(0).exponential(size=images).astype(np.float32)
    splits = prepare(config, drawn, weights=weights)
    whole = train(config, splits, MemoryRun(), tmp_path / "whole")

    def stop(epoch: object, best: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, splits, MemoryRun(), tmp_path / "half", on_epoch=stop)
    checkpoint = load_checkpoint(tmp_path / "half")
    with pytest.raises(CheckpointError, match="is a member of a boosted ensemble"):
        prepare(config, drawn, checkpoint)
    with pytest.raises(CheckpointError, match="was trained on other images"):
        prepare(config, drawn, checkpoint, weights[::-1].copy())
    resumed = train(
        config, prepare(config, drawn, checkpoint, weights), MemoryRun(), tmp_path / "half", resume=checkpoint
    )
    assert [epoch.train for epoch in resumed.epochs] == [epoch.train for epoch in whole.epochs]
    assert resumed.test == whole.test
