"""How long a report of ten runs takes in a store of a thousand, by how long in one that has no others.

    python -m experiments.benchmarks.report

Each is written once to warm up, then timed in turn; the median. The time is that of the whole report, its figures
included, without the start of Python.
"""

import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import cyclopts
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run

from kmnist.config import TrainConfig
from kmnist.data.sample import draw_dataset
from kmnist.experiment import prepare, train
from kmnist.report import Report, arrange, report_files
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.tracking.collect import collect
from kmnist.tracking.read import runs_by_id

RUNS, EPOCHS = 10, 10
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(*, others: int = 990, repeats: int = 3) -> None:
    """Measure.

    Parameters
    ----------
    others
        runs that are in the larger store besides
    repeats
        of each measurement
    """
    with TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.db", Path(folder) / "large.db"
        client = connect(f"sqlite:///{small}")
        client.create_experiment("ten", artifact_location=str(Path(folder) / "artifacts"))
        ids = [_train(client, Path(folder), seed) for seed in range(RUNS)]
        shutil.copy(small, large)
        _fill(connect(f"sqlite:///{large}"), others)
        seconds: dict[Path, list[float]] = {small: [], large: []}
        for number in range(repeats + 1):
            for path, times in seconds.items():
                began = time.perf_counter()
                source_client = MlflowClient(f"sqlite:///{path}")
                sources = arrange([collect(source_client, run) for run in runs_by_id(source_client, ids)])
                report_files(Report("ten runs", sources))
                times += [time.perf_counter() - began] if number else []
        few, many = (median(times) for times in seconds.values())
        print(f"{RUNS} runs: {few:.2f} s with no others, {many:.2f} s with {others:,}: {many / few:.2f} times as long")


def _train(client: MlflowClient, folder: Path, seed: int) -> str:
    config = TrainConfig.parse({"hidden": "32", "epochs": EPOCHS, "dataset": "sample", "seed": seed})
    data = draw_dataset(train=600, test=200)
    entity = create_run(client, "ten", f"seed {seed}")
    with MlflowRun(client, entity, folder / entity.info.run_id) as run:
        train(config, prepare(config, data), data.test, run, run.folder, threads=1)
    return str(run.id)


def _fill(client: MlflowClient, count: int) -> None:
    experiment_id = client.create_experiment("others")
    names = ("train/loss", "train/accuracy", "valid/loss", "valid/accuracy")
    for number in range(count):
        run: Run = client.create_run(experiment_id, run_name=f"run {number}")
        points = [Metric(name, 1 / epoch, epoch, epoch) for name in names for epoch in range(1, EPOCHS + 1)]
        client.log_batch(run.info.run_id, points, [Param("arch", "plain")])


if __name__ == "__main__":
    app()
