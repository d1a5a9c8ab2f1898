"""What a study costs, and what its parts bring. Every figure of a study in the README is from here.

python -m experiments.benchmarks.tuning workers --rounds 2 --trials 16 --epochs 10
python -m experiments.benchmarks.tuning bare
python -m experiments.benchmarks.tuning pruning
python -m experiments.benchmarks.tuning overhead --study plain
"""

import os
import statistics
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts

from experiments.benchmarks.trial_span import trial_span
from kmnist.cli.options import DataDir, Storage, TrackingUri
from kmnist.config import TrainConfig
from kmnist.data import load_dataset
from kmnist.experiment import prepare
from kmnist.experiment.train import resolve_compute
from kmnist.models.build import build
from kmnist.settings import as_flags
from kmnist.tracking import connect
from kmnist.training.compute import set_threads
from kmnist.training.fit import fit
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, find_study, load_study
from kmnist.tuning.table import trials_table

app = cyclopts.App(help=__doc__, help_format="plaintext")
SAME = {"arch": "plain", "hidden": "512,256,128,64", "batch_size": "128", "optimizer": "adam"}
NOTHING = ["--confirm-seeds", "0", "--quiet", "--dataset", "kmnist"]


@app.command
def workers(*, data_dir: DataDir = Path("data"), trials: int = 12, epochs: int = 6, rounds: int = 3) -> None:
    """The seconds that one worker and two take for the same trials, from the command to its end; the median ratios.

    Two workers have a thread each. One worker is measured with one thread, too, and with both. Each as a sum: from the
    command to the first trial, the trials, and from the end of the last one to that of the command.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    trials
        of a study; the same settings in all studies
    epochs
        of a trial; none is pruned
    rounds
        how often each of the two is run
    """
    same = [*as_flags(SAME).split(), "--sampler", "random", "--pruner", "none"]
    size = ["--trials", str(trials), "--epochs", str(epochs)]
    ratios: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        seconds = {}
        for count, threads in ((2, 1), (1, 1), (1, 2)):
            with TemporaryDirectory() as folder:
                pool = ["--workers", str(count), "--threads", str(threads)]
                start, worked, end = _timed(Path(folder), data_dir, *same, *size, *pool)
            seconds[count, threads] = start + worked + end
            print(f"{count} x {threads} threads: {start:.1f} + {worked:.1f} + {end:.1f} s", flush=True)
        for threads, found in ratios.items():
            found.append(seconds[1, threads] / seconds[2, 1])
    for threads, found in ratios.items():
        print(f"two workers against one of {threads} threads: {statistics.median(found):.2f} times as fast")


def _timed(folder: Path, data_dir: Path, *options: str) -> tuple[float, float, float]:
    """Seconds of a study: before its first trial, of its trials, after the last one."""
    began = time.time()
    study = _tune(folder, data_dir, "s", *options)
    ended = time.time()
    first, last = trial_span(study)
    return first - began, last - first, ended - last


@app.command
def bare(*, data_dir: DataDir = Path("data"), epochs: int = 10, rounds: int = 3) -> None:
    """Two processes that do nothing but train, against one: what the machine itself makes of a second worker.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    epochs
        of each
    rounds
        of one and two in turn
    """
    ratios = []
    for _ in range(rounds):
        alone, together = (_seconds_of_bare_trainings(count, data_dir, epochs) for count in (1, 2))
        print(f"one alone {alone:.1f} s, two at once {together:.1f} s", flush=True)
        ratios.append(2 * alone / together)
    print(f"two processes against one: {statistics.median(ratios):.2f} times as fast")


def _seconds_of_bare_trainings(count: int, data_dir: Path, epochs: int) -> float:
    """Of the slower one, without their starts."""
    context = get_context("spawn")
    ready, seconds = context.Barrier(count), context.SimpleQueue()
    processes = [context.Process(target=_train_bare, args=(data_dir, epochs, ready, seconds)) for _ in range(count)]
    for process in processes:
        process.start()
    found: list[float] = [seconds.get() for _ in processes]
    for process in processes:
        process.join()
    return max(found)


def _train_bare(data_dir: Path, epochs: int, ready: Barrier, seconds: "SimpleQueue[float]") -> None:
    set_threads(1)
    config = TrainConfig.parse({**SAME, "epochs": epochs})
    data = load_dataset("kmnist", data_dir, progress=False)
    splits = prepare(config, data)
    model = build(config.net, data.spec)
    compute = resolve_compute(config, model, splits.train, "cpu", 1)
    ready.wait()
    began = time.perf_counter()
    for _ in fit(model, splits.train, splits.valid, config, compute):
        pass
    seconds.put(time.perf_counter() - began)


@app.command
def pruning(
    *,
    data_dir: DataDir = Path("data"),
    seeds: int = 3,
    trials: int = 64,
    epochs: int = 9,
    valid_fraction: float = 0.75,
    workers: int = 2,
) -> None:
    """How many epochs tpe with hyperband needs for the best validation accuracy of unpruned random trials.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    seeds
        of the samplers: 0, 1, ...
    trials
        that are chosen at random
    epochs
        of each of them
    valid_fraction
        kept for validation: the larger, the faster an epoch
    workers
        processes
    """
    same = ["--arch", "plain", "--epochs", str(epochs), "--valid-fraction", str(valid_fraction)]
    same += ["--workers", str(workers)]
    shares = []
    for seed in range(seeds):
        with TemporaryDirectory() as name:
            folder, seeded = Path(name), [*same, "--sampler-seed", str(seed)]
            random = [*seeded, "--sampler", "random", "--pruner", "none", "--trials", str(trials)]
            target = max(_values(_tune(folder, data_dir, "random", *random)))
            spent = trials * epochs
            quarter = ["--trials", "100000", "--max-epochs-total", str(spent)]
            searched = _tune(folder, data_dir, "pruned", *seeded, *quarter, until=target)
            reached = max(_values(searched)) >= target
            needed = len(_values(searched))  # of all trials, up to the moment that one of them got there
            shares.append(needed / spent)
            print(
                f"seed {seed}: {target:.4f} after {spent} random epochs, {needed} pruned ones: {shares[-1]:.0%}"
                + ("" if reached else " (NOT reached)")
            )
    print(f"median of {seeds}: {statistics.median(shares):.0%}")


@app.command
def overhead(*, study: str, storage: Storage = "studies.log", tracking_uri: TrackingUri = None) -> None:
    """The part of a trial's time that is not spent in its epochs, over the trials of a study that has run.

    Parameters
    ----------
    study
        its name
    storage
        where it is
    tracking_uri
        where its runs are
    """
    client, shares = connect(tracking_uri), []
    tracked = load_study(open_storage(storage), study)
    table = trials_table(tracked.trials(), tracked.definition)
    for _, row in table[table["state"] == "COMPLETE"].iterrows():
        in_epochs = sum(point.value for point in client.get_metric_history(row["run_id"], "epoch_seconds"))
        shares.append(1 - in_epochs / row["seconds"])
    shares.sort()
    print(f"{len(shares)} complete trials: median {statistics.median(shares):.1%}, {shares[0]:.1%} to {shares[-1]:.1%}")


def _tune(folder: Path, data_dir: Path, name: str, *options: str, until: float | None = None) -> TrackedStudy:
    """Run the real command in ``folder``; with ``until``, end it when a complete trial reaches that value."""
    command = [sys.executable, "-m", "kmnist", "tune", "--study", name, *NOTHING, *options]
    environment = {
        **os.environ,
        "KMNIST_DATA_DIR": str(data_dir.resolve()),
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    }
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    address = str(folder / "studies.log")
    if until is None:
        process.wait()
    while until is not None and process.poll() is None:
        time.sleep(0.5)
        study = find_study(open_storage(address), name)
        if study is not None and max(_values(study), default=0) >= until:
            process.terminate()
            process.wait()
    return load_study(open_storage(address), name)


def _values(study: TrackedStudy) -> list[float]:
    return [value for trial in study.trials() for value in trial.intermediate_values.values()]


if __name__ == "__main__":
    app()
