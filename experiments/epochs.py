"""How the error of a net falls with the epochs that it is given.

    python -m experiments.epochs experiments/fast_cnn.yaml --epochs 1 3 9 27

Each number of epochs is a training of its own, with a schedule that ends with it, and a run of an experiment of its
own. One that is there with the same settings, and finished, is not trained again. The table and the figure are of the
accuracies on test, which chooses nothing.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import yaml
from cyclopts import Parameter

from experiments.tracked import TEST_ACCURACY, train_missing
from kmnist import record
from kmnist.cli.options import DataDir, Threads, TrackingUri, WorkDir
from kmnist.config import TrainConfig
from kmnist.data.kmnist import load_kmnist
from kmnist.figures.style import as_png, figure_of
from kmnist.tracking import connect

#: The best single nets of https://github.com/hysts/pytorch_image_classification, and what they took on a GPU.
PUBLISHED = {"ResNet-20 with cutout, 24 minutes on a GPU": 0.9918, "shake-shake, 6.8 hours on a GPU": 0.9934}
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    file: Path,
    *,
    epochs: Annotated[Sequence[int], Parameter(consume_multiple=True)] = (1, 3, 9, 27),
    seeds: int = 1,
    out: Path = Path("epochs.png"),
    threads: Threads = 1,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Train what is not there yet, print the table, and draw the figure.

    Parameters
    ----------
    file
        YAML of the other settings
    epochs
        each number of them that is tried
    seeds
        how often each is trained
    out
        where the figure goes
    """
    client, data = connect(tracking_uri), load_kmnist(data_dir)
    experiment, settings = f"epochs of {file.stem}", yaml.safe_load(file.read_text())
    groups = {
        f"epochs={count}": [TrainConfig.parse({**settings, "epochs": count, "seed": seed}) for seed in range(seeds)]
        for count in epochs
    }
    runs_of = train_missing(client, experiment, groups, data, work_dir, threads=threads)
    found = {count: runs_of[f"epochs={count}"] for count in epochs}
    print("\n| epochs | test accuracy | seconds an epoch |\n| --- | --- | --- |")
    for count, runs in found.items():
        accuracy, seconds = (
            statistics.median(run.metrics[of] for run in runs) for of in (TEST_ACCURACY, record.EPOCH_SECONDS)
        )
        print(f"| {count} | {accuracy:.2%} | {seconds:.1f} |")
    out.write_bytes(draw({count: [run.metrics[TEST_ACCURACY] for run in runs] for count, runs in found.items()}))


@as_png
def draw(found: Mapping[int, Sequence[float]]) -> Any:
    """Error on test over the epochs: each seed a point, their median a line.

    Args:
        found: the accuracies on test by the number of epochs.
    """
    figure = figure_of(7, 4.4, left=0.85, right=0.2, bottom=0.6, top=0.2)
    axes = figure.add_subplot()
    axes.plot(list(found), [100 * (1 - statistics.median(of)) for of in found.values()], color="#1f77b4")
    for count, accuracies in found.items():
        axes.plot([count] * len(accuracies), [100 * (1 - of) for of in accuracies], "o", color="#1f77b4", markersize=4)
    for name, accuracy in PUBLISHED.items():
        axes.axhline(100 * (1 - accuracy), color="#666666", linestyle=":")
        axes.annotate(name, (min(found), 100 * (1 - accuracy)), xytext=(0, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(found), [str(count) for count in found])
    marks = [0.5, 0.7, 1, 1.5, 2, 3, 4, 6]
    axes.set_yticks(marks, [f"{mark:g}" for mark in marks])
    axes.minorticks_off()
    axes.set_xlabel("epochs of the training, each with a schedule of its own")
    axes.set_ylabel("error on test, %")
    axes.grid(alpha=0.25)
    return figure


if __name__ == "__main__":
    app()
