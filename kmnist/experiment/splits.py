"""A data set ready for training."""

from dataclasses import dataclass

from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images, split
from kmnist.errors import SettingError


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


def prepare(config: TrainConfig, data: Dataset) -> Splits:
    """Split off the validation images, and see that the settings fit the data before anything is written anywhere.

    Raises:
        SettingError: the settings do not fit the data.
    """
    train_images, valid_images = split(data.train, config.valid_fraction, config.seed)
    if config.batch_size > len(train_images):
        raise SettingError(f"batch_size={config.batch_size}: must be at most the {len(train_images):,} training images")
    return Splits(data.name, data.source, train_images, valid_images, data.test)
