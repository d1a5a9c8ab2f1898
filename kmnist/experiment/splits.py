"""A data set ready for training."""

from dataclasses import dataclass

from kmnist.checkpoint import Checkpoint
from kmnist.config import TrainConfig
from kmnist.data import DataSpec, Images, TrainingData, split
from kmnist.errors import CheckpointError, SettingError


@dataclass(frozen=True)
class Splits:
    """What a training may see: ``train`` and ``valid`` are the parts of a data set's train split.

    The test split is not among them: a training is handed it apart, a search never.

    Attributes:
        spec: of the data set.
        source: where it is from.
        train: images to learn from.
        valid: images to choose by.
        digests: SHA-256 over all pixels and labels, by split; of the test split, too.
    """

    spec: DataSpec
    source: str
    train: Images
    valid: Images
    digests: dict[str, str]


def prepare(config: TrainConfig, data: TrainingData, resume: Checkpoint | None = None) -> Splits:
    """Split off the validation images, and see that all fits together before anything is written anywhere.

    Raises:
        SettingError: the settings do not fit the data.
        CheckpointError: ``resume`` was trained on other images.
    """
    train_images, valid_images = split(data.train, config.valid_fraction, config.seed)
    if config.batch_size > len(train_images):
        raise SettingError(f"batch_size={config.batch_size}: must be at most the {len(train_images):,} training images")
    digests = {"train": train_images.digest, "valid": valid_images.digest, "test": data.spec.digests["test"]}
    if resume is not None and resume.data_digests != digests:
        raise CheckpointError(
            f"the checkpoint of run {resume.run_id} was trained on other images (SHA-256 of train "
            f"{resume.data_digests['train'][:12]}, here {digests['train'][:12]}); use the same --data-dir"
        )
    return Splits(data.spec, data.source, train_images, valid_images, digests)
