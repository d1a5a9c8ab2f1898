"""A data set ready for training."""

from dataclasses import dataclass

from kmnist.checkpoint import Checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images, split
from kmnist.errors import CheckpointError, SettingError


@dataclass(frozen=True)
class Splits:
    """A data set ready for training: ``train`` and ``valid`` are the parts of its train split."""

    name: str
    source: str
    train: Images
    valid: Images
    test: Images

    def digests(self) -> dict[str, str]:
        """SHA-256 over all pixels and labels, by split."""
        return {"train": self.train.digest(), "valid": self.valid.digest(), "test": self.test.digest()}


def prepare(config: TrainConfig, data: Dataset, resume: Checkpoint | None = None) -> Splits:
    """Split off the validation images, and see that all fits together before anything is written anywhere.

    Raises:
        SettingError: the settings do not fit the data.
        CheckpointError: ``resume`` was trained on other images.
    """
    train_images, valid_images = split(data.train, config.valid_fraction, config.seed)
    if config.batch_size > len(train_images):
        raise SettingError(f"batch_size={config.batch_size}: must be at most the {len(train_images):,} training images")
    splits = Splits(data.name, data.source, train_images, valid_images, data.test)
    if resume is not None and resume.data_digests != (digests := splits.digests()):
        raise CheckpointError(
            f"the checkpoint of run {resume.run_id} was trained on other images (SHA-256 of train "
            f"{resume.data_digests['train'][:12]}, here {digests['train'][:12]}); use the same --data-dir"
        )
    return splits
