"""Faults within requests: a proxy before a tracking server lets some fail, whatever is done there at the time.

Each round draws what is done (a training, a study, a registration) and which of its requests fail, how, and how often.
Then the proxy lets all pass, ``kmnist sync`` sends what waits, and a command that could not begin is given again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Run

from experiments.benchmarks.comparison import Findings, Snapshot, compare, take_snapshot
from kmnist.tracking import connect, list_pending
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.servers import MlflowServer

#: Every kind of request that each of them makes.
STARTING = (r"/experiments/(search|get-by-name|create)", "POST .*/runs/create", "GET .*/runs/get", ".")
TRAINING = (
    *("POST .*/runs/log-batch", "POST .*/runs/log-inputs", "POST .*/runs/(set|delete)-tag", "POST .*/runs/update"),
    *("POST .*/runs/outputs", "PUT .*/images/", "PUT .*/figures/", "PUT .*/reports/", "PUT .*/models/"),
    *("POST .*/logged-models$", "POST .*/logged-models/.*/params", "POST .*/logged-models/search"),
    "PATCH .*/logged-models/",
)
REGISTERING = (
    "GET .*/registered-models/",
    "POST .*/registered-models/",
    "GET .*/model-versions/",
    "POST .*/model-versions/",
)
REQUESTS = {
    "train": STARTING + TRAINING,
    "tune": (*STARTING, "POST .*/runs/search", *TRAINING),
    "register": (
        "/experiments/search",
        "GET .*/runs/get",
        ".",
        "POST .*/logged-models/search",
        "GET .*/logged-models/",
        *REGISTERING,
    ),
}
JOBS = tuple(REQUESTS)
KINDS: tuple[Kind, ...] = (
    *("drop request", "cut request", "delay", "drop answer", "cut answer"),
    *(400, 401, 403, 413, 429, 500, 502, 503),
)
#: From which of them on it fails: a registration makes most of its requests once.
FIRST = {"train": (1, 1, 2, 4), "tune": (1, 1, 2, 4), "register": (1, 1, 1, 2)}
TIMES = (1, 2, 5, 10_000)
TRIALS = 3
SETTINGS = ["--dataset", "sample", "--hidden", "32", "--batch-size", "64"]
TRAIN = ["train", *SETTINGS, "--epochs", "6"]
TUNE = ["tune", *SETTINGS, "--epochs", "3", "--trials", str(TRIALS), "--confirm-seeds", "0", "--study", "study"]
KMNIST = ["train", "--dataset", "kmnist", "--hidden", "16", "--batch-size", "1024", "--epochs", "1"]
NOT_BEGUN, INCOMPLETE = 1, 3  # exit status


def run_rounds(rounds: int, seed: int, jobs: Sequence[str]) -> Findings:
    """All rounds; gives the sums."""
    total = Findings()
    with TemporaryDirectory() as place:
        folder = Path(place)
        server = MlflowServer(folder)
        server.start()
        try:
            client = connect(server.url)
            Round(server.url, server.url, folder, "undisturbed").run(*TRAIN)
            expected = take_snapshot(client, _runs(client, "undisturbed")[0].info.run_id)
            for number in range(rounds):
                chance = Random(f"{seed}/{number}")
                job = jobs[number % len(jobs)]
                faults = draw(chance, job)
                began = time.monotonic()
                with FaultyServer(server.url) as proxy:
                    one = Round(server.url, proxy.url, folder, f"round{number}")
                    found = {"train": train, "tune": tune, "register": register}[job](one, proxy, faults, expected)
                told = "; ".join(f"{fault.requests} {fault.kind} {fault.first} to {fault.last}" for fault in faults)
                print(f"round {number + 1}/{rounds} {job}, {one.failed_requests} requests failed [{told}]: {found}")
                print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
                total.add(found)
        finally:
            server.kill()
    return total


def draw(chance: Random, job: str) -> list[Fault]:
    """One to three faults of the requests that a job makes."""
    faults = []
    for _ in range(chance.randint(1, 3)):
        first, times = chance.choice(FIRST[job]), chance.choice(TIMES)
        kind = chance.choice(KINDS)
        seconds = chance.randint(1, 3) if kind in ("delay", 429) else None
        faults.append(Fault(chance.choice(REQUESTS[job]), kind, first, first + times - 1, seconds))
    return faults


@dataclass
class Round:
    """A place for commands, and the two ways to the server: past the proxy, and through it."""

    server: str
    proxy: str
    folder: Path
    name: str
    failed_requests: int = 0

    @property
    def work_dir(self) -> Path:
        """For journals and checkpoints."""
        return self.folder / self.name

    def run(self, *arguments: str, url: str | None = None) -> int:
        """A command, with one thread; gives its exit status, or -1 for a traceback."""
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "KMNIST_WORK_DIR": str(self.work_dir),
            "KMNIST_STORAGE": str(self.work_dir / "studies.log"),
            "MLFLOW_EXPERIMENT_NAME": self.name,
            "MLFLOW_TRACKING_URI": url or self.proxy,
        }
        self.work_dir.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "kmnist", *arguments], capture_output=True, text=True, env=environment
        )
        with (self.folder / f"{self.name}.log").open("a") as log:
            log.write(f"$ kmnist {' '.join(arguments)}\n{done.stdout}{done.stderr}[{done.returncode}]\n")
        if done.returncode not in (0, INCOMPLETE):
            print(f"{self.name}: exit status {done.returncode}: {done.stderr.strip()[-600:]}")
        return -1 if "Traceback" in done.stderr else done.returncode

    @property
    def waits(self) -> bool:
        """Whether anything of its runs has not arrived."""
        return bool(list_pending(self.work_dir))

    def heal(self, proxy: FaultyServer) -> None:
        """Let all requests pass."""
        self.failed_requests = proxy.failed.total()
        proxy.heal()

    def sync(self) -> None:
        """Send it, past the proxy; what one command leaves, the next has to take."""
        for _ in range(3):
            if self.waits:
                self.run("sync", url=self.server)


def train(one: Round, proxy: FaultyServer, faults: list[Fault], expected: Snapshot) -> Findings:
    """A training; what is there of it is compared with that of an undisturbed one."""
    proxy.inject(*faults)
    status, client = one.run(*TRAIN), connect(one.server)
    found = Findings(exits=int(status not in (0, NOT_BEGUN, INCOMPLETE) or (status == INCOMPLETE) != one.waits))
    if status == 0:  # then all has arrived by now
        found.add(_compare_run(client, one.name, expected))
    one.heal(proxy)
    if status == NOT_BEGUN:
        found.exits += int(one.run(*TRAIN) != 0)
    one.sync()
    if status != 0:
        found.add(_compare_run(client, one.name, expected))
    found.lost += int(one.waits)
    return found


def tune(one: Round, proxy: FaultyServer, faults: list[Fault], expected: Snapshot) -> Findings:
    """A small study; it has as many runs as trials, all ended, each with its epochs."""
    proxy.inject(*faults)
    status, client = one.run(*TUNE), connect(one.server)
    found = Findings(exits=int(status not in (0, NOT_BEGUN, INCOMPLETE) or (status == 0 and one.waits)))
    one.heal(proxy)
    if status == NOT_BEGUN:  # the study goes on
        found.exits += int(one.run(*TUNE) != 0)
    one.sync()
    runs = _runs(client, one.name)
    found.orphans = abs(len(runs) - TRIALS - 1)
    found.lost = int(one.waits)
    for run in runs:
        found.statuses += int(run.info.status in ("RUNNING", "FAILED"))
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "valid/loss")]
        found.lost += len(set(range(1, max(steps, default=0) + 1)) - set(steps))
        found.doubled += len(steps) - len(set(steps))
    return found


def register(one: Round, proxy: FaultyServer, faults: list[Fault], expected: Snapshot) -> Findings:
    """A model on Kuzushiji-MNIST (``KMNIST_DATA_DIR``) becomes one version of the registered model."""
    if one.run(*KMNIST, url=one.server) != 0:
        raise RuntimeError((one.folder / f"{one.name}.log").read_text())
    client = connect(one.server)
    [run] = _runs(client, one.name)
    proxy.inject(*faults)
    status = one.run("register", run.info.run_id)
    versions = _versions(client, run)
    found = Findings(exits=int(status not in (0, NOT_BEGUN) or (status == 0 and versions != ["READY"])))
    one.heal(proxy)
    if status != 0:
        found.exits += int(one.run("register", run.info.run_id) != 0)
    versions = _versions(client, run)
    found.orphans = max(len(versions) - 1, 0)
    found.models = int("READY" not in versions)
    return found


def _compare_run(client: MlflowClient, experiment: str, expected: Snapshot) -> Findings:
    """The one run that should be there, and how many more there are."""
    runs = _runs(client, experiment)
    if not runs:
        return Findings(lost=1)
    whole = max(runs, key=lambda run: (run.info.status == "FINISHED", len(run.data.metrics)))
    found = compare(take_snapshot(client, whole.info.run_id), expected)
    found.orphans = len(runs) - 1
    found.statuses += sum(run.info.status == "RUNNING" for run in runs if run is not whole)
    return found


def _runs(client: MlflowClient, experiment: str) -> list[Run]:
    made = client.get_experiment_by_name(experiment)
    return list(client.search_runs([made.experiment_id])) if made else []


def _versions(client: MlflowClient, run: Run) -> list[str]:
    return [version.status for version in client.search_model_versions(f"run_id = '{run.info.run_id}'")]
