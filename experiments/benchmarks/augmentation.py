"""How fast training images are turned, scaled, sheared and moved: ours against kornia's and torchvision's.

    python -m experiments.benchmarks.augmentation --threads 2

The same batches of Kuzushiji-MNIST, each image by a map of its own from the same ranges (``augment=light``), round
after round in turn: ours and kornia's as batches of tensors, torchvision's image by image, for it has one map for all
that it is given at once.
Needs `pip install -e '.[train,vision]' --group bench`. Quote the ratios.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cyclopts
import torch
from torch import Tensor

from experiments.benchmarks.training import affine_ranges
from kmnist.cli.options import DataDir
from kmnist.config import TrainConfig
from kmnist.data.kmnist import load_kmnist
from kmnist.models.torchvision_cpu import torchvision_module
from kmnist.training.augmentation.augment import Augmentation
from kmnist.training.compute import keep_freed_memory, set_threads

BATCHES = 40
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(*, data_dir: DataDir = Path("data"), batch_size: int = 256, rounds: int = 5, threads: int = 1) -> None:
    """Print the images a second of each, and how many times ours that is.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    batch_size
        images in one batch
    rounds
        how often each runs
    threads
        of all
    """
    set_threads(threads)
    keep_freed_memory()  # as a training does
    pixels = torch.from_numpy(load_kmnist(data_dir).train.pixels[: BATCHES * batch_size])
    contenders: dict[str, Callable[[Tensor], object]] = {"ours": ours(), "kornia": kornias(), "torchvision": v2s()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for batches in (1, *[BATCHES] * rounds):  # the first warms up
        for name, change in contenders.items():
            began = time.perf_counter()
            for batch in pixels.split(batch_size)[:batches]:
                change(batch)
            seconds[name].append((time.perf_counter() - began) / batches)
    print(f"batches of {batch_size}, {threads} threads; median of {rounds} rounds")
    for name, found in seconds.items():
        ratio = statistics.median(theirs / mine for mine, theirs in zip(seconds["ours"][1:], found[1:]))
        print(f"{name:12s}{batch_size / statistics.median(found[1:]):10,.0f} images/s   {ratio:6.2f} x our time")


def ranges() -> TrainConfig:
    """The settings whose ranges all have."""
    return TrainConfig.parse({"arch": "cnn", "augment": "light"})


def ours() -> Callable[[Tensor], object]:
    """Of a batch of bytes."""
    augmentation, generator = Augmentation(ranges()), torch.Generator().manual_seed(0)
    return lambda batch: augmentation(batch, generator)


def kornias() -> Callable[[Tensor], object]:
    """Of a batch of numbers from 0 to 1, as it wants them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kornia.augmentation import RandomAffine

    change = RandomAffine(**affine_ranges(ranges()), p=1.0)
    return lambda batch: change(batch[:, None].float() / 255)


def v2s() -> Callable[[Tensor], object]:
    """Image by image, as in a data set's transform; numbers, for the others give such, too."""
    v2 = torchvision_module("transforms.v2")
    change = v2.RandomAffine(**affine_ranges(ranges()), interpolation=v2.InterpolationMode.BILINEAR)
    return lambda batch: torch.stack([change(image) for image in batch[:, None].float()])


if __name__ == "__main__":
    app()
