"""What tracking costs: the same training, written down nowhere and in a real MLflow server on this machine, in turn.

python -m experiments.benchmarks.tracking --rounds 3 --epochs 20
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import requests
import tenacity

from kmnist.cli.options import DataDir
from kmnist.config import TrainConfig
from kmnist.data import load_kmnist
from kmnist.experiment import NullRun, Run, Splits, prepare, train
from kmnist.tracking import MlflowRun, connect, create_run

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *,
    data_dir: DataDir = Path("data"),
    batch_size: int = 512,
    epochs: int = 20,
    rounds: int = 3,
) -> None:
    """Print the median seconds from one epoch to the next with and without tracking, and their ratio.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    batch_size
        images in one step
    epochs
        of each training
    rounds
        how often each of the two is trained
    """
    config = TrainConfig.parse({"batch_size": batch_size, "epochs": epochs, "dataset": "kmnist"})
    splits = prepare(config, load_kmnist(data_dir))
    ratios = []
    with TemporaryDirectory() as folder, _mlflow_server(Path(folder)) as url:
        client = connect(url)
        for number in range(rounds):
            plain = _seconds(config, splits, NullRun(), Path(folder) / "plain")
            entity = create_run(client, "benchmark", f"round {number}")
            with MlflowRun(client, entity, Path(folder) / entity.info.run_id) as run:
                tracked = _seconds(config, splits, run, run.folder)
            ratios.append(tracked / plain)
            print(
                f"round {number + 1}  an epoch untracked {plain:.3f} s  tracked {tracked:.3f} s  ratio {ratios[-1]:.3f}"
            )
    print(f"median ratio {statistics.median(ratios):.3f} ({epochs} epochs, batch {batch_size}, {rounds} rounds)")


def _seconds(config: TrainConfig, splits: Splits, run: Run, folder: Path) -> float:
    """Median from the end of an epoch to the end of the next: what lies between two epochs counts, hiccups do not."""
    ends = [epoch.timestamp_ms for epoch in train(config, splits, run, folder).epochs]
    return statistics.median((later - earlier) / 1000 for earlier, later in pairwise(ends))


@contextmanager
def _mlflow_server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--port", str(port), "--workers", "1"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        wait = tenacity.Retrying(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.2))
        wait(requests.get, f"{url}/health", timeout=2)
        time.sleep(2)  # its workers are still importing
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    app()
