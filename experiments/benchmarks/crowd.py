"""Many trainings at once into one tracking server: the service of docker-compose.yml, with its login and PostgreSQL.

python -m experiments.benchmarks.crowd --trainers 20

Needs what the tests need: pip install -e '.[all]' --group test, and a PostgreSQL.
"""

import multiprocessing
import os
import secrets
import statistics
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import numpy as np
import requests
from mlflow import MlflowClient
from prometheus_client.parser import text_string_to_metric_families

from experiments.benchmarks.comparison import Findings, blocked_seconds, compare, take_snapshot
from kmnist.config import TrainConfig
from kmnist.data.sample import draw_dataset
from kmnist.experiment import prepare, train
from kmnist.tracking import MlflowRun, connect, create_run, list_pending
from tests.stack import Stack

app = cyclopts.App(help=__doc__, help_format="plaintext")
EXPERIMENT = "crowd"
ADMIN = "admin"
COUNTED = "mlflow_http_request_total"  # of all requests that the server has answered


@app.default
def main(*, trainers: int = 20, epochs: int = 20, server_processes: int = 4) -> None:
    """Print what was lost, how many requests a second the server took, and how long they took.

    Parameters
    ----------
    trainers
        processes, which begin to train at the same moment
    epochs
        of each
    server_processes
        of the tracking server
    """
    found = run_crowd(trainers, epochs, server_processes)
    print(
        f"{trainers} trainings of {epochs} epochs in {found.seconds:.0f} s: {found.requests:,} requests, "
        f"{found.requests / found.seconds:.0f} a second\n"
        f"one more client's requests: median {found.median_ms:.0f} ms, 99th percentile {found.p99_ms:.0f} ms\n"
        f"{found.findings}; {found.pending} runs wait for kmnist sync"
    )


@dataclass(frozen=True)
class Crowd:
    """What many trainings at once came to.

    Attributes:
        seconds: from their start until the last had ended.
        requests: that the server answered meanwhile.
        median_ms: of the requests of a client that does nothing but log single points.
        p99_ms: of the same.
        findings: what is wrong with the runs, measured by one that had the server to itself.
        pending: runs of which something has not arrived.
    """

    seconds: float
    requests: int
    median_ms: float
    p99_ms: float
    findings: Findings
    pending: int


def run_crowd(trainers: int, epochs: int, server_processes: int) -> Crowd:
    """Start the service, train alone, then all at once, and compare."""
    password = secrets.token_hex(16)
    names = ("POSTGRES_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
    variables = {name: secrets.token_hex(16) for name in names}
    variables |= {"MLFLOW_AUTH_ADMIN_PASSWORD": password, "MLFLOW_WORKERS": str(server_processes)}
    os.environ.update({"MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": password})
    with TemporaryDirectory() as place, closing(Stack(Path(place) / "stack", variables)) as stack:
        stack.start("mlflow")
        stack.wait_until_healthy("mlflow")
        url, folder = stack.url("mlflow"), Path(place) / "runs"
        client = connect(url)
        train_one(url, folder, epochs, None)
        [alone] = client.search_runs(_experiments(client))
        expected = take_snapshot(client, alone.info.run_id)

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        all_there = context.Barrier(trainers + 1)
        processes = [context.Process(target=train_one, args=(url, folder, epochs, all_there)) for _ in range(trainers)]
        for process in processes:
            process.start()
        all_there.wait()
        before, began = _requests(url, password), time.monotonic()
        with Probe(client) as probe:
            for process in processes:
                process.join()
        seconds, after = time.monotonic() - began, _requests(url, password)

        total = Findings()
        runs = [run for run in client.search_runs(_experiments(client)) if run.info.run_id != alone.info.run_id]
        total.statuses += trainers - len(runs)
        for run in runs:
            found = compare(take_snapshot(client, run.info.run_id), expected)
            found.blocked_seconds = blocked_seconds(client, run.info.run_id, None)
            total.add(found)
        times = np.array(probe.milliseconds)
        p99 = float(np.percentile(times, 99))
        return Crowd(seconds, after - before, statistics.median(times), p99, total, len(list_pending(folder)))


def train_one(url: str, folder: Path, epochs: int, all_there: Barrier | None) -> None:
    """A training, tracked as ``kmnist train`` tracks it; in a process of its own, or in this one."""
    config = TrainConfig.parse({"hidden": "256,128", "batch_size": 32, "epochs": epochs})
    data = draw_dataset()
    client = connect(url)
    if all_there is not None:
        all_there.wait()
    entity = create_run(client, EXPERIMENT, "one of many")
    with MlflowRun(client, entity, folder / entity.info.run_id) as run:
        run.log_environment()
        train(config, prepare(config, data), data.test, run, run.folder, threads=1)
    run.discard_folder()


class Probe:
    """A client that logs one point after the other to a run of its own, and looks at the clock."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.milliseconds: list[float] = []

    def _ask(self) -> None:
        run_id = self._client.create_run("0").info.run_id
        while not self._stop.is_set():
            began = time.perf_counter()
            self._client.log_metric(run_id, "point", 0.0, step=len(self.milliseconds))
            self.milliseconds.append((time.perf_counter() - began) * 1000)
            self._stop.wait(0.05)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _experiments(client: MlflowClient) -> list[str]:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    return [experiment.experiment_id] if experiment else []


def _requests(url: str, password: str) -> int:
    """How many the server has answered since its start, as it says itself."""
    text = requests.get(f"{url}/metrics", auth=(ADMIN, password), timeout=30).text
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return int(sum(sample.value for sample in found if sample.name == COUNTED))


if __name__ == "__main__":
    app()
