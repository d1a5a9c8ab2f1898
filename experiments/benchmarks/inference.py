"""How fast answers are: in process, from the command line, and served; all with random weights, which cost the same.

python -m experiments.benchmarks.inference --rounds 5
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import mlflow.pytorch
import numpy as np
import numpy.typing as npt
import requests
from mlflow.models import infer_signature
from PIL import Image

from kmnist import load_model
from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.models.build import build
from kmnist.network import SavedNetwork
from kmnist.tracking.model import save_model
from tests.servers import free_port, wait_until_it_answers

app = cyclopts.App(help=__doc__, help_format="plaintext")
MANY = 10_000
Gray = npt.NDArray[np.uint8]


@app.default
def main(*, arch: str = "plain", rounds: int = 5, requests_each: int = 100) -> None:
    """Print the seconds of each way, and the ratios.

    Parameters
    ----------
    arch
        architecture, with its default widths
    rounds
        how often each way is measured, in turn; the median counts
    requests_each
        requests of one picture that a server gets in a round
    """
    config = TrainConfig.parse({"arch": arch})
    network = build(config.net, SPEC).eval()
    images = np.random.default_rng(0).integers(0, 256, (MANY, 28, 28), np.uint8)
    with TemporaryDirectory() as place:
        folder = Path(place)
        save_model(SavedNetwork(network, config, SPEC), folder / "ours")
        example = images[:2].astype(np.float32)
        signature = infer_signature(example, np.zeros((2, 10), np.float32))
        mlflow.pytorch.save_model(network, folder / "usual", signature=signature, input_example=example)
        Image.fromarray(images[0]).save(folder / "one.png")

        classifier = load_model(str(folder / "ours"))
        one = median(200, lambda: classifier.predict(images[0]))
        many = median(rounds, lambda: classifier.predict(images))
        print(f"in process  one picture {one * 1000:.2f} ms  {MANY:,} in a call {MANY / many:,.0f} a second")

        with served(folder / "ours", folder) as ours, served(folder / "usual", folder) as usual:
            ways = {"ours": Client(ours), "the usual way": Client(usual)}
            singles, batches = in_turn(rounds, ways, requests_each, images)
        for way in ways:
            print(
                f"served, {way}  one picture {singles[way] * 1000:.2f} ms  "
                f"{MANY:,} in a request {MANY / batches[way]:,.0f} a second"
            )
        print(
            f"requests a second of those that the usual way answers: {singles['the usual way'] / singles['ours']:.0%} "
            f"of one picture, {batches['the usual way'] / batches['ours']:.0%} of {MANY:,}"
        )
        rate = 1 / singles["ours"]
        print(
            f"pictures a second, {MANY:,} in one call against one by one from the server: "
            f"{MANY / many / rate:.0f} times in process, {MANY / batches['ours'] / rate:.0f} times served"
        )

        predict = [sys.executable, "-m", "kmnist", "predict", str(folder / "one.png"), "--model", str(folder / "ours")]
        bare = f"import torch, mlflow, mlflow.pytorch; mlflow.pytorch.load_model({str(folder / 'ours')!r})"
        command, imports = cold(rounds, predict, [sys.executable, "-c", bare])
        print(
            f"cold  kmnist predict {command:.2f} s  imports and loading {imports:.2f} s  ratio {command / imports:.2f}"
        )


class Client:
    """Sends pixels to a server, over one connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def ask(self, body: bytes) -> None:
        """One request."""
        as_json = {"Content-Type": "application/json"}
        self._session.post(self._url, data=body, headers=as_json, timeout=120).raise_for_status()


def in_turn(
    rounds: int, ways: dict[str, Client], requests_each: int, images: Gray
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of a request of one picture and of one of all, for each way."""
    singles: dict[str, list[float]] = {way: [] for way in ways}
    batches: dict[str, list[float]] = {way: [] for way in ways}
    one, many = (json.dumps({"inputs": pixels.tolist()}).encode() for pixels in (images[:1], images))
    for number in range(rounds + 1):
        for seconds, body, times in ((singles, one, requests_each), (batches, many, 1)):
            for _ in range(times):
                for way, client in ways.items():  # request by request: what else the machine does meets both
                    each = median(1, partial(client.ask, body))
                    if number:  # the first round warms them up
                        seconds[way].append(each)
    return (
        {way: statistics.median(seconds) for way, seconds in singles.items()},
        {way: statistics.median(seconds) for way, seconds in batches.items()},
    )


def cold(rounds: int, *commands: list[str]) -> list[float]:
    """Median seconds of each command in a process of its own."""
    seconds: list[list[float]] = [[] for _ in commands]
    for number in range(rounds + 1):
        for place, command in enumerate(commands):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if number:
                seconds[place].append(time.perf_counter() - began)
    return [statistics.median(each) for each in seconds]


def median(times: int, action: Callable[[], object]) -> float:
    """Median seconds of an action."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


@contextmanager
def served(model: Path, folder: Path) -> Iterator[str]:
    """``mlflow models serve``; gives where to send pictures."""
    port = str(free_port())
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    with (folder / f"{model.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", port], stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", process, folder / f"{model.name}.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    app()
