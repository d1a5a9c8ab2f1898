"""What each recommendation gives: trainings with it alone and with all of them, over seeds, told from tracked runs.

    python -m experiments.ablation experiments/ablations/mlp.yaml --data-dir data --tracking-uri sqlite:///mlflow.db

Every training is a run of the experiment that the file names. One that is there with the same settings, and finished,
is not trained again: what was interrupted goes on, and the table alone takes no time. Accuracies are of the epoch that
was best on validation; the test split is told of, not chosen by.
"""

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cyclopts
import yaml

from experiments.tracked import TEST_ACCURACY, train_missing
from kmnist import record
from kmnist.cli.options import DataDir, Threads, TrackingUri, WorkDir
from kmnist.config import TrainConfig
from kmnist.data.kmnist import load_kmnist
from kmnist.record import TrackedRun
from kmnist.tracking import connect

VALID_ACCURACY = record.metric(record.BEST, "valid_accuracy")
ALONE, ALL = "none of them", "all of them"
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    file: Path,
    *,
    seeds: int = 3,
    threads: Threads = 1,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Train what is not there yet, and print the table.

    Parameters
    ----------
    file
        YAML with ``base``, the settings of all, and ``with``, the settings of each recommendation
    seeds
        how often each is trained
    """
    client, data = connect(tracking_uri), load_kmnist(data_dir)
    experiment = f"ablation {file.stem}"
    groups = {
        name: [TrainConfig.parse({**settings, "seed": seed}) for seed in range(seeds)]
        for name, settings in variants(yaml.safe_load(file.read_text())).items()
    }
    print("\n".join(table(train_missing(client, experiment, groups, data, work_dir, threads=threads))))


def variants(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of each row: none of the recommendations, each alone, all."""
    base, alone = content["base"], content["with"]
    together = {name: value for settings in alone.values() for name, value in settings.items()}
    return {ALONE: base, **{name: {**base, **settings} for name, settings in alone.items()}, ALL: {**base, **together}}


def table(groups: Mapping[str, list[TrackedRun]]) -> Iterator[str]:
    """In Markdown: accuracies in percent, mean and standard deviation over the runs, and the difference on test."""
    yield "| with | valid accuracy | test accuracy | difference on test | seconds an epoch |"
    yield "| --- | --- | --- | --- | --- |"
    start = _mean(groups[ALONE], TEST_ACCURACY)
    for name, runs in groups.items():
        valid, test = (_told(runs, metric) for metric in (VALID_ACCURACY, TEST_ACCURACY))
        gain = _mean(runs, TEST_ACCURACY) - start
        seconds = statistics.median(run.metrics[record.EPOCH_SECONDS] for run in runs)
        yield f"| {name} | {valid} | {test} | {'' if name == ALONE else f'{gain:+.2f}'} | {seconds:.1f} |"


def _told(runs: list[TrackedRun], metric: str) -> str:
    spread = statistics.stdev(run.metrics[metric] for run in runs) if len(runs) > 1 else 0.0
    return f"{_mean(runs, metric):.2f} ± {100 * spread:.2f}"


def _mean(runs: list[TrackedRun], metric: str) -> float:
    return 100 * statistics.mean(run.metrics[metric] for run in runs)


if __name__ == "__main__":
    app()
