"""Images with their classes, and two splits of them under one ``DataSpec``."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from kmnist.data.spec import DataSpec
from kmnist.errors import DataError

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Images:
    """Grey images with their classes.

    Attributes:
        pixels: uint8, shape (N, H, W), 0 = paper, 255 = ink.
        labels: int64, shape (N,), class numbers from 0.
    """

    pixels: Pixels
    labels: Labels

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or len(self.pixels) != len(self.labels) or self.pixels.dtype != np.uint8:
            raise DataError(
                f"{self.pixels.dtype} pixels of shape {self.pixels.shape} with {len(self.labels)} labels: "
                "must be uint8 of shape (N, H, W) with N labels"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: npt.NDArray[np.int64]) -> "Images":
        return Images(self.pixels[index], self.labels[index])

    @cached_property
    def digest(self) -> str:
        """SHA-256, as 64 hex digits, over all pixels and then all labels (as bytes, where all are below 256)."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        small = self.labels.max(initial=0) < 256
        digest.update(self.labels.astype(np.uint8 if small else np.int64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class TrainingData:
    """What a search may see of a data set.

    Attributes:
        spec: what it is; its digests are those of both splits.
        source: where it came from: a URL, a folder, or the call that draws it.
        train: the images to learn from.
    """

    spec: DataSpec
    source: str
    train: Images


@dataclass(frozen=True)
class Dataset(TrainingData):
    """A data set in memory.

    Attributes:
        test: the images to be judged by.
        notes: what was met while it was read, to be told to whoever asked for it.
    """

    test: Images
    notes: tuple[str, ...] = ()

    def without_test(self) -> TrainingData:
        """What a search may see."""
        return TrainingData(self.spec, self.source, self.train)

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        source: str,
        train: Images,
        test: Images,
        official: dict[str, str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Check both splits against ``spec``, and add their digests to it.

        Args:
            spec: without digests.
            source: see the class.
            train: see the class.
            test: see the class.
            official: the digests that were published under the set's name; the set is official if they are its own.
            notes: see the class.

        Raises:
            DataError: images of another shape, or labels of no class.
        """
        for split, images in (("train", train), ("test", test)):
            _check(split, images, spec)
        digests = {"train": train.digest, "test": test.digest}
        return cls(replace(spec, digests=digests, official=digests == official), source, train, test, notes)


def _check(split: str, images: Images, spec: DataSpec) -> None:
    if images.pixels.shape[1:] != spec.shape:
        raise DataError(f"the {split} images are {images.pixels.shape[1:]}: those of {spec.title} are {spec.shape}")
    count = len(spec.classes)
    if len(images) and not 0 <= images.labels.min() <= images.labels.max() < count:
        raise DataError(
            f"the {split} labels go from {images.labels.min()} to {images.labels.max()}: must lie in 0..{count - 1}; "
            "the labels file is damaged or belongs to another data set"
        )
