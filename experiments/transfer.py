"""What is gained by beginning with weights that know other characters.

    python -m experiments.transfer --data-dir data --tracking-uri sqlite:///mlflow.db --out transfer.png

A net is trained on five classes of Kuzushiji-MNIST. Then nets for the other five are trained from a part of their
labels: from its weights, and from scratch, with the same settings, images and seeds. Every training is a run; the table
and the figure are of their test accuracies, on the test images of the five classes.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np

from experiments.tracked import TEST_ACCURACY, train_tracked
from kmnist.cli.options import DataDir, Threads, TrackingUri, WorkDir
from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images
from kmnist.data.kmnist import load_kmnist
from kmnist.experiment import NullRun, prepare, train_epochs
from kmnist.figures.style import as_png, figure_of
from kmnist.models.transfer import InitialWeights
from kmnist.tracking import connect

FIRST, OTHERS = range(5), range(5, 10)
SHARES = (0.01, 0.1)
SETTINGS = {"arch": "cnn", "channels": "16,32,64,64", "optimizer": "adamw", "schedule": "onecycle", "augment": "light"}
TEACHER = {**SETTINGS, "learning_rate": 0.01, "batch_size": 128}
PUPIL = {**SETTINGS, "learning_rate": 0.003, "batch_size": 32}
STEPS = 1500  # of the optimizer, whatever the number of images
SCRATCH, KEPT = "from scratch", "from the weights of five other classes"
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *,
    seeds: int = 3,
    out: Path = Path("transfer.png"),
    threads: Threads = 1,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Train, print the table, and draw the figure.

    Parameters
    ----------
    seeds
        how often each is trained, with other labels and other first weights
    out
        where the figure goes
    """
    client, data = connect(tracking_uri), load_kmnist(data_dir)
    taught = TrainConfig.parse({**TEACHER, "epochs": 8})
    splits = prepare(taught, only(data, FIRST))
    teacher = train_epochs(taught, splits, NullRun(), work_dir / "teacher", threads=threads)
    weights = InitialWeights("five other classes", splits.train.digest, teacher.best_weights)
    found: dict[str, dict[float, list[float]]] = {SCRATCH: {}, KEPT: {}}
    for share in SHARES:
        for seed in range(seeds):
            part = labelled(only(data, OTHERS), share, seed)
            epochs = round(STEPS * PUPIL["batch_size"] / (0.9 * len(part.train)))  # type: ignore[operator]
            config = TrainConfig.parse({**PUPIL, "epochs": epochs, "seed": seed})
            for how, initial in ((SCRATCH, None), (KEPT, weights)):
                name = f"{share:.0%} of the labels, {how}"
                run = train_tracked(client, "transfer", name, config, part, work_dir, threads=threads, initial=initial)
                accuracy = run.metrics[TEST_ACCURACY]
                found[how].setdefault(share, []).append(accuracy)
                print(f"{run.name}: {accuracy:.2%}", flush=True)
    print("\n| begun | " + " | ".join(f"{share:.0%} of the labels" for share in SHARES) + " |\n| --- | --- | --- |")
    for how, by_share in found.items():
        print(f"| {how} | " + " | ".join(_told(by_share[share]) for share in SHARES) + " |")
    out.write_bytes(draw(found))


def only(data: Dataset, classes: Sequence[int]) -> Dataset:
    """The images of some classes, numbered anew."""

    def of(images: Images) -> Images:
        kept = images[np.flatnonzero(np.isin(images.labels, classes))]
        return Images(kept.pixels, np.searchsorted(classes, kept.labels))

    chosen = tuple(data.spec.classes[number] for number in classes)
    name = f"{data.spec.name}-{classes[0]}-{classes[-1]}"
    spec = replace(data.spec, name=name, title=f"{data.spec.title}, five classes", classes=chosen, official=False)
    return Dataset.build(spec, data.source, of(data.train), of(data.test))


def labelled(data: Dataset, share: float, seed: int) -> Dataset:
    """With as many training images of each class, drawn by ``seed``."""
    chance = np.random.default_rng(seed)
    places = [np.flatnonzero(data.train.labels == number) for number in range(len(data.spec.classes))]
    chosen = [chance.choice(place, round(share * len(place)), replace=False) for place in places]
    return Dataset.build(data.spec, data.source, data.train[np.sort(np.concatenate(chosen))], data.test)


@as_png
def draw(found: Mapping[str, Mapping[float, Sequence[float]]]) -> Any:
    """Test accuracy over the share of labels: each seed a point, their mean a line."""
    figure = figure_of(7, 4.4, left=0.85, right=0.2, bottom=0.6, top=0.2)
    axes = figure.add_subplot()
    for (how, by_share), colour in zip(found.items(), ("#d95f02", "#1f77b4")):
        means = [100 * statistics.mean(values) for values in by_share.values()]
        axes.plot(list(by_share), means, color=colour, marker="_", markersize=14, label=how)
        for share, values in by_share.items():
            axes.plot([share] * len(values), [100 * value for value in values], "o", color=colour, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(list(SHARES), [f"{share:.0%}" for share in SHARES])
    axes.minorticks_off()
    axes.set_xlabel("share of the labels of the five classes that are learnt")
    axes.set_ylabel("test accuracy on them, %")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    return figure


def _told(values: Sequence[float]) -> str:
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


if __name__ == "__main__":
    app()
