"""How fast an epoch is, against the usual ways to write it and against the net's bare products.

    python -m experiments.benchmarks.training --rounds 3
    python -m experiments.benchmarks.training --rounds 3 --arch cnn

Every contender trains the same net on the 54,000 training images of Kuzushiji-MNIST with Adam and the same batch size,
in one process, round after round in turn; the times are of the training part of an epoch. Nets other than plain are
trained on augmented images: ours by ``augment=light``, the others by torchvision's ``v2.RandomAffine`` of the same
ranges. Needs `pip install -e '.[train,vision]' --group bench`. Quote the ratios: the absolute times are of this machine
at this hour.
"""

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cyclopts
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from experiments.benchmarks.bare import bare_products, bare_steps
from experiments.benchmarks.busy import busy_processes
from experiments.benchmarks.rounds import print_rounds
from kmnist.cli.options import DataDir, Threads
from kmnist.config import TrainConfig
from kmnist.data import Dataset as Images
from kmnist.data.idx import idx_bytes
from kmnist.data.kmnist import SPEC, load_kmnist
from kmnist.experiment import Splits, prepare
from kmnist.experiment.train import resolve_compute
from kmnist.models.build import build
from kmnist.models.normalise import Normalise
from kmnist.models.torchvision_cpu import torchvision_module
from kmnist.training.augmentation.augment import Augmentation
from kmnist.training.compute import Compute
from kmnist.training.fit import fit

MEAN, STD = 0.1918, 0.3483
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *,
    arch: str = "plain",
    data_dir: DataDir = Path("data"),
    batch_size: int = 128,
    rounds: int = 3,
    threads: Threads = None,
) -> None:
    """Print the median seconds of each contender and the ratios to ours.

    Parameters
    ----------
    arch
        the net, with its default settings
    data_dir
        folder of the four Kuzushiji-MNIST files
    batch_size
        images in one step, for all contenders
    rounds
        how often each contender runs
    threads
        of all contenders [default: as many as our training takes here]
    """
    augment = "none" if arch == "plain" else "light"
    config = TrainConfig.parse(
        {"arch": arch, "augment": augment, "batch_size": batch_size, "epochs": 2, "dataset": "kmnist"}
    )
    data = load_kmnist(data_dir)
    splits = prepare(config, data)
    compute = resolve_compute(config, net(config), splits.train, "cpu", threads)
    torch.set_num_threads(compute.threads)
    with TemporaryDirectory() as folder, _quiet():
        images = _torchvision_images(config, data, Path(folder))
        contenders: dict[str, Callable[[], float]] = {
            "ours": lambda: ours(net(config), config, splits, compute),
            "ours beside a busy process": lambda: beside_a_busy_process(config, splits, threads),
            "(a) usual loop": lambda: usual_loop(config, images),
            "(b) Lightning + MLflow": lambda: lightning(config, images, Path(folder)),
            "(c) bare products": lambda: bare_products(
                _layers(config), batch_size, len(splits.train), compute.precision == "bf16"
            ),
            "(d) bare steps of Adam": lambda: bare_steps(_layers(config), batch_size, len(splits.train)),
        }
        where = f"{compute.threads} threads, ours in {compute.precision}"
        print_rounds(contenders, rounds, f"{arch}, batch {batch_size}, {where}")


def ours(network: nn.Module, config: TrainConfig, splits: Splits, compute: Compute) -> float:
    """Seconds of the training part of our second epoch: the first warms up, or compiles."""
    augmentation = Augmentation(config)
    epochs = list(fit(network, splits.train, splits.valid, config, compute, augmentation=augmentation))
    return len(splits.train) / epochs[-1].images_per_second


def beside_a_busy_process(config: TrainConfig, splits: Splits, threads: int | None) -> float:
    """The same while another process keeps one core busy: the threads are resolved in its presence, as in a run."""
    with busy_processes(1):
        return ours(net(config), config, splits, resolve_compute(config, net(config), splits.train, "cpu", threads))


def usual_loop(config: TrainConfig, images: Dataset[Any]) -> float:
    """Seconds of an epoch of the loop that tutorials teach."""
    model = _layers(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    started = time.perf_counter()
    total_loss, hits = 0.0, 0
    for batch, labels in DataLoader(images, batch_size=config.batch_size, shuffle=True):
        optimizer.zero_grad()
        output = model(batch[:, 0])
        loss = F.nll_loss(output, labels)
        loss.backward()
        optimizer.step()
        total_loss += loss.item() * len(labels)
        hits += int((output.argmax(dim=1) == labels).sum().item())
    return time.perf_counter() - started


def lightning(config: TrainConfig, images: Dataset[Any], folder: Path) -> float:
    """Seconds of an epoch of PyTorch Lightning's trainer with its MLflow logger into a sqlite store."""
    import lightning as L
    from lightning.pytorch.loggers import MLFlowLogger

    class Module(L.LightningModule):  # type: ignore[misc, unused-ignore]
        started = ended = 0.0

        def __init__(self) -> None:
            super().__init__()
            self.layers = _layers(config)

        def on_train_epoch_start(self) -> None:
            self.started = time.perf_counter()

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            output = self.layers(batch[0][:, 0])
            loss = F.nll_loss(output, batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            self.log("train_accuracy", (output.argmax(dim=1) == batch[1]).float().mean(), on_step=False, on_epoch=True)
            return loss

        def on_train_epoch_end(self) -> None:
            self.ended = time.perf_counter()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=config.learning_rate)

    module = Module()
    logger = MLFlowLogger("benchmark", tracking_uri=f"sqlite:///{folder}/mlflow.db", artifact_location=str(folder))
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", logger=logger, enable_model_summary=False, default_root_dir=folder
    )
    trainer.fit(module, DataLoader(images, batch_size=config.batch_size, shuffle=True))
    return module.ended - module.started


def net(config: TrainConfig) -> nn.Module:
    """Pixels (B, 28, 28) from 0 to 255 -> log-probabilities (B, 10)."""
    return build(config.net, SPEC, normalise=Normalise(MEAN, STD))


def _layers(config: TrainConfig) -> nn.Module:
    """The same net without our normalisation: the contenders normalise in their transforms."""
    return net(config).get_submodule("network")


def affine_ranges(config: TrainConfig) -> dict[str, Any]:
    """The ranges of our maps of the plane, as kornia's and torchvision's ``RandomAffine`` take them."""
    return {
        "degrees": config["rotation"],
        "translate": (config["translation"] / 28, config["translation"] / 28),
        "scale": (1 - config["scaling"], 1 + config["scaling"]),
        "shear": math.degrees(math.atan(config["shear"])),
    }


def _torchvision_images(config: TrainConfig, data: Images, folder: Path) -> Dataset[Any]:
    """torchvision's own data set over the same images, with its transforms for each image."""
    datasets, v2 = torchvision_module("datasets"), torchvision_module("transforms.v2")
    raw = folder / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, images in (("train", data.train), ("t10k", data.test)):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images.pixels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(images.labels.astype("uint8")))
    affine = v2.RandomAffine(**affine_ranges(config))
    normalised = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((MEAN,), (STD,))]
    chain = v2.Compose([affine, *normalised] if config["augment"] != "none" else normalised)
    loaded: Dataset[Any] = datasets.KMNIST(folder, transform=chain)
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning tells much; a benchmark's output is its table."""
    for name in (
        "lightning.pytorch",
        "lightning.fabric",
        "lightning.pytorch.utilities.rank_zero",
        "mlflow.store.db.utils",
        "alembic",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


if __name__ == "__main__":
    app()
