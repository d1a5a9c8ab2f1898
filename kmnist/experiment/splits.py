"""A data set ready for training."""

import hashlib
from dataclasses import dataclass

import numpy as np

from kmnist.checkpoint import Checkpoint
from kmnist.config import TrainConfig
from kmnist.data import DataSpec, Images, TrainingData, bootstrap_indices, fold_indices, split
from kmnist.errors import CheckpointError, SettingError
from kmnist.training.fit import Weights
from kmnist.training.subset_settings import BOOTSTRAP


@dataclass(frozen=True)
class Splits:
    """What a training may see: ``train`` and ``valid`` are the parts of a data set's train split.

    The test split is not among them: a training is handed it apart, a search never.

    Attributes:
        spec: of the data set.
        source: where it is from.
        train: images to learn from.
        valid: images to choose by.
        digests: SHA-256 over all pixels and labels, by split; of the test split, too; and of the weights.
        weights: how much each image of ``train`` counts, (N,), with mean 1; ``None``: all the same.
    """

    spec: DataSpec
    source: str
    train: Images
    valid: Images
    digests: dict[str, str]
    weights: Weights | None = None


def prepare(
    config: TrainConfig, data: TrainingData, resume: Checkpoint | None = None, weights: Weights | None = None
) -> Splits:
    """Split off the validation images, and see that all fits together before anything is written anywhere.

    Args:
        config: the settings.
        data: to split.
        resume: what is to be gone on with.
        weights: of the images that are learnt from, in the order that the split leaves them in; ``None``: all the same.

    Raises:
        SettingError: the settings do not fit the data.
        CheckpointError: ``resume`` was trained on other images.
    """
    [(fraction, seed)] = config.splits
    train_images, valid_images = split(data.train, fraction, seed)
    train_images = _subset(config, train_images, seed)
    if config.batch_size > len(train_images):
        raise SettingError(f"batch_size={config.batch_size}: must be at most the {len(train_images):,} training images")
    digests = {"train": train_images.digest, "valid": valid_images.digest, "test": data.spec.digests["test"]}
    if weights is not None:
        digests["weights"] = hashlib.sha256(weights.tobytes()).hexdigest()
    if resume is not None and resume.data_digests != digests:
        if "weights" in resume.data_digests and weights is None:
            raise CheckpointError(
                f"run {resume.run_id} is a member of a boosted ensemble, whose images count by what the members before "
                "it get wrong: go on with the command of the ensemble"
            )
        raise CheckpointError(
            f"the checkpoint of run {resume.run_id} was trained on other images (SHA-256 of train "
            f"{resume.data_digests['train'][:12]}, here {digests['train'][:12]}); use the same --data-dir"
        )
    return Splits(data.spec, data.source, train_images, valid_images, digests, weights)


def _subset(config: TrainConfig, train: Images, split_seed: int) -> Images:
    if config.subset == BOOTSTRAP:
        return train[bootstrap_indices(train, config.seed)]
    if config.fold:
        number, folds = config.fold
        left_out = fold_indices(train, folds, split_seed)[number - 1]  # the same for members with several seeds
        return train[np.setdiff1d(np.arange(len(train)), left_out)]
    return train
