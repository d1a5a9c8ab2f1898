"""The tables of the report that this project implements, again.

    python -m experiments.reproduction first-epoch --data-dir data
    python -m experiments.reproduction train --data-dir data --tracking-uri sqlite:///mlflow.db

The first tells which settings, where the report names none, give its first epoch: the mean over seeds beside its own
numbers. The second trains its two nets (experiments/report_plain.yaml, report_dropout.yaml) as tracked runs. Its
"validation" is the test split, which a training here never sees: the weights of the epochs in its table are kept, and
evaluated on test after the last epoch, as ``observed/test_loss`` of the run; nothing is chosen by them.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated

import cyclopts
import numpy as np
import yaml
from cyclopts import Parameter
from torch import Tensor

from kmnist import record
from kmnist.cli.options import DataDir, Threads, TrackingUri, WorkDir
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.kmnist import load_kmnist
from kmnist.experiment import NullRun, prepare, train, train_epochs
from kmnist.network import build_from
from kmnist.report.original import EPOCHS, ORIGINALS
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.training.evaluate import evaluate
from kmnist.training.fit import Epoch

FILES = {arch: Path(__file__).parent / f"report_{arch}.yaml" for arch in ("plain", "dropout")}
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.command
def first_epoch(
    *,
    batch_sizes: Annotated[Sequence[int], Parameter(consume_multiple=True)] = (32, 64, 128),
    seeds: int = 3,
    normalise: str = "unit",
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    threads: Threads = 1,
) -> None:
    """One epoch of each net at each batch size, beside the report's first line.

    Parameters
    ----------
    batch_sizes
        to try
    seeds
        how often each
    normalise
        of the pixels: unit, standard
    """
    data = load_kmnist(data_dir)
    print("| net | batch | train loss | train accuracy | loss on test |\n| --- | --- | --- | --- | --- |")
    for arch, original in ORIGINALS.items():
        row = original.rows[1]
        print(f"| {arch} | the report's | {row.train_loss:.3f} | {row.accuracy:.2%} | {row.valid_loss:.3f} |")
        for size in batch_sizes:
            found: list[tuple[float, float, float]] = []
            for seed in range(seeds):
                config = _config(arch, {"epochs": 1, "batch_size": size, "seed": seed, "normalise": normalise})
                splits = prepare(config, data)
                trained = train_epochs(config, splits, NullRun(), work_dir / "first-epoch", threads=threads)
                test, _ = evaluate(build_from(config, splits.spec, trained.last_weights), data.test)
                found.append((trained.best.train.loss, trained.best.train.accuracy, test.loss))
            loss, accuracy, test_loss = zip(*found)
            percent = _told([100 * share for share in accuracy], 2)
            print(f"| {arch} | {size} | {_told(loss, 3)} | {percent} % | {_told(test_loss, 3)} |", flush=True)


@app.command(name="train")
def train_both(
    *,
    archs: Annotated[Sequence[str], Parameter(consume_multiple=True)] = ("plain", "dropout"),
    epochs: int = EPOCHS[-1],
    images: int | None = None,
    experiment_name: str = "reproduction",
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    threads: Threads = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train the report's nets, and observe the test split at the epochs of its table.

    Parameters
    ----------
    archs
        which of them
    epochs
        of each
    images
        to learn from: the first so many [default: all 60,000]
    experiment_name
        that the runs belong to
    """
    client, data = connect(tracking_uri), load_kmnist(data_dir)
    if images is not None:
        data = Dataset.build(data.spec, data.source, data.train[np.arange(images)], data.test)
    for arch in archs:
        config = _config(arch, {"epochs": epochs})
        entity = create_run(client, experiment_name, f"report_{arch}: {ORIGINALS[arch].title}, {epochs} epochs")
        kept: dict[int, dict[str, Tensor]] = {}

        def keep(epoch: Epoch, best: Epoch, kept: dict[int, dict[str, Tensor]] = kept) -> None:
            if epoch.number in EPOCHS and epoch.live is not None:
                weights = epoch.live.optimisation.weights_to_evaluate()
                kept[epoch.number] = {name: tensor.detach().clone() for name, tensor in weights.items()}
                print(f"epoch {epoch.number}: train loss {epoch.train.loss:.4g}", flush=True)

        with MlflowRun(client, entity, work_dir / entity.info.run_id) as run:
            run.log_environment()
            splits = prepare(config, data)
            result = train(config, splits, data.test, run, run.folder, threads=threads, on_epoch=keep)
            for number, weights in kept.items():
                test, _ = evaluate(build_from(config, splits.spec, weights), data.test)
                observed = {"test_loss": test.loss, "test_accuracy": test.accuracy}
                run.log_metrics(
                    {record.metric(record.OBSERVED, name): value for name, value in observed.items()}, number
                )
        run.discard_folder()
        print(f"{arch}: run {run.id}, test accuracy {result.test.accuracy:.2%}, {result.seconds:.0f} s", flush=True)


def _config(arch: str, changed: dict[str, object]) -> TrainConfig:
    return TrainConfig.parse({**yaml.safe_load(FILES[arch].read_text()), **changed})


def _told(values: Sequence[float], digits: int) -> str:
    return f"{mean(values):.{digits}f} ± {stdev(values) if len(values) > 1 else 0:.{digits}f}"


if __name__ == "__main__":
    app()
