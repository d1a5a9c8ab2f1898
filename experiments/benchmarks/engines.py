"""The same study by local processes, by Ray on this machine, and by a simulated cluster that loses a node.

python -m experiments.benchmarks.engines machine --trials 32 --workers 2 --rounds 3
python -m experiments.benchmarks.engines cluster --trials 32 --storage postgresql://user@host/empty_database \
    --tracking-uri http://127.0.0.1:5000

Each ends with what was lost, doubled or in a wrong state, and with status 1 if anything was. Small sizes for a quick
look: --trials 6 --epochs 2 --images sample.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import cyclopts
from mlflow import MlflowClient
from optuna.trial import TrialState

from experiments.benchmarks.trial_span import trial_span
from kmnist.cli.options import Storage
from kmnist.tracking import connect
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, find_study, load_study

app = cyclopts.App(help=__doc__, help_format="plaintext")
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
NODES = 3
#: Ray keeps to the loopback address; read when it is imported, here and in the command.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
Images = Literal["kmnist", "sample"]


@app.command
def machine(*, trials: int = 32, epochs: int = 4, workers: int = 2, images: Images = "kmnist", rounds: int = 1) -> None:
    """The seconds that local processes and Ray's workers take for the same trials, with their start and without.

    Parameters
    ----------
    trials
        of the study
    epochs
        of a trial; none is pruned
    workers
        at once, of one thread each
    images
        to train on
    rounds
        of the two in turn
    """
    whole, ratios = True, []
    for number in range(rounds):
        seconds = {}
        for engine in ("local", "ray") if number % 2 == 0 else ("ray", "local"):
            with TemporaryDirectory() as name:
                folder = Path(name)
                began = time.perf_counter()
                storage, tracking = str(folder / "studies.log"), f"sqlite:///{folder / 'mlflow.db'}"
                process = _tune(folder, storage, tracking, trials, epochs, workers, images, "--engine", engine)
                process.wait()
                took = time.perf_counter() - began
                study = load_study(open_storage(storage), "engines")
                first, last = trial_span(study)
                seconds[engine] = last - first
                print(
                    f"{engine}: {took:.1f} s, {seconds[engine]:.1f} from the first trial's start to the last one's end"
                )
                whole &= _is_whole(study, MlflowClient(tracking), trials, epochs)
        ratios.append(seconds["ray"] / seconds["local"])
    print(f"Ray takes {median(ratios):.2f} times as long as local processes, after its start")
    sys.exit(0 if whole else 1)


@app.command
def cluster(
    *, storage: Storage, tracking_uri: str, trials: int = 32, epochs: int = 4, images: Images = "kmnist"
) -> None:
    """A cluster of three nodes on this machine, one of which is killed when a quarter of the trials has ended.

    Parameters
    ----------
    storage
        an empty PostgreSQL database
    tracking_uri
        of an MLflow server
    trials
        of the study
    epochs
        of a trial; none is pruned
    images
        to train on
    """
    os.environ.update(LOOPBACK)
    from ray.cluster_utils import Cluster

    simulated = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [simulated.add_node(num_cpus=1) for _ in range(NODES - 1)]
    try:
        with TemporaryDirectory() as name:
            place = ["--engine", "ray", "--ray-address", simulated.address]
            process = _tune(Path(name), storage, tracking_uri, trials, epochs, NODES, images, *place)
            _wait_for(process, storage, max(trials // 4, 1))
            simulated.remove_node(nodes[0], allow_graceful=False)
            print("a node is killed")
            process.wait()
    finally:
        simulated.shutdown()
    study = load_study(open_storage(storage), "engines")
    taken_up = sum("deaths" in trial.user_attrs for trial in study.trials())
    print(f"{taken_up} trials were gone on with by another worker")
    sys.exit(0 if _is_whole(study, connect(tracking_uri), trials, epochs) and not process.returncode else 1)


def _tune(
    folder: Path, storage: str, tracking: str, trials: int, epochs: int, workers: int, images: str, *engine: str
) -> "subprocess.Popen[bytes]":
    """Begin the real command in ``folder``."""
    search = ["--arch", "plain", "--hidden", "256,128", "--sampler", "random", "--pruner", "none", "--dataset", images]
    size = ["--trials", str(trials), "--epochs", str(epochs), "--confirm-seeds", "0"]
    where = ["--storage", storage, "--tracking-uri", tracking, "--workers", str(workers), "--threads", "1"]
    command = [sys.executable, "-m", "kmnist", "tune", "--study", "engines", *search, *size, *where, *engine]
    environment = dict(os.environ)
    if "KMNIST_DATA_DIR" in environment:
        environment["KMNIST_DATA_DIR"] = str(Path(environment["KMNIST_DATA_DIR"]).resolve())
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)


def _wait_for(process: "subprocess.Popen[bytes]", storage: str, complete: int) -> None:
    opened = open_storage(storage)
    while process.poll() is None:
        study = find_study(opened, "engines")
        if study is not None and len(study.trials(TrialState.COMPLETE)) >= complete:
            return
        time.sleep(0.5)


def _is_whole(study: TrackedStudy, client: MlflowClient, trials: int, epochs: int) -> bool:
    """Print what is wrong with a study that should have ended well."""
    ended = study.trials()
    states = Counter(trial.state.name for trial in ended)
    lost = trials - sum(trial.state.is_finished() for trial in ended)
    doubled = len(ended) - len({str(trial.params) for trial in ended})
    wrong = broken = 0
    for trial in ended:
        run = client.get_run(trial.user_attrs["run_id"])
        wrong += run.info.status != STATUS.get(trial.state.name)
        broken += _steps(client.get_metric_history(run.info.run_id, "valid/accuracy")) != list(range(1, epochs + 1))
    trained = sum(len(trial.intermediate_values) for trial in ended)
    print(
        f"{dict(states)}: {lost} lost, {doubled} doubled, {wrong} in a wrong status, {broken} runs with a gap; "
        f"{trained} of {trials * epochs} epochs"
    )
    return not (lost or doubled or wrong or broken) and trained == trials * epochs and len(ended) == trials


def _steps(points: Sequence[Any]) -> list[int]:
    return [point.step for point in points]


if __name__ == "__main__":
    app()
