"""What is measured, in a process of its own: ``python measured.py WHAT ARGUMENT...`` prints one line of JSON.

Whether the journal is on is decided by the environment, as in any program.
"""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np


def calls(count: str) -> dict[str, object]:
    """Seconds of each of ``count`` calls of ``mlflow.log_metric``, and the memory that they took."""
    with mlflow.start_run():
        for step in range(20):
            mlflow.log_metric("warm", 0.5, step=step)
        before, seconds = _megabytes(), np.empty(int(count))
        for step in range(int(count)):
            began = time.perf_counter()
            mlflow.log_metric("loss", 0.5, step=step)
            seconds[step] = time.perf_counter() - began
        grown = _megabytes() - before
        half = _rest(lambda: [mlflow.log_metric("more", 0.5, step=step) for step in range(int(count))])
    return {
        "median": float(np.median(seconds)),
        "p99": float(np.quantile(seconds, 0.99)),
        "megabytes": grown,
        "megabytes_more": half,
    }


def loop(steps: str, tracked: str) -> dict[str, object]:
    """A loop of real work, about 20 ms a step, with three metrics a step or none; its marks are lines on stderr."""
    square = np.random.default_rng(0).normal(size=(600, 600))
    run = mlflow.start_run() if tracked == "tracked" else None
    slowest, began, before = 0.0, time.perf_counter(), _megabytes()
    for step in range(int(steps)):
        print("step", step, file=sys.stderr, flush=True)
        for _ in range(3):
            square = np.tanh(square @ square / 600)
        if run is not None:
            for key in ("loss", "accuracy", "rate"):
                called = time.perf_counter()
                mlflow.log_metric(key, float(step), step=step)
                slowest = max(slowest, time.perf_counter() - called)
    seconds = time.perf_counter() - began
    megabytes = _megabytes() - before
    if run is not None:
        mlflow.end_run()
    return {
        "seconds": seconds,
        "slowest": slowest,
        "megabytes": megabytes,
        "run_id": run.info.run_id if run else "",
    }


def points(count: str, how: str) -> dict[str, object]:
    """When the first of ``count`` points was logged, one call each or in batches of 1,000."""
    began = time.time()
    with mlflow.start_run() as run:
        before = _megabytes()
        if how == "batches":
            client, moment = mlflow.MlflowClient(), int(time.time() * 1000)
            for first in range(0, int(count), 1000):
                batch = [mlflow.entities.Metric("loss", 0.5, moment, step) for step in range(first, first + 1000)]
                client.log_batch(run.info.run_id, batch)
        else:
            for step in range(int(count)):
                mlflow.log_metric("loss", 0.5, step=step)
        grown = _megabytes() - before
    return {"began": began, "logged": time.time() - began, "megabytes": grown}


def artifact(path: str, folder: str) -> dict[str, object]:
    """Seconds of ``log_artifact`` beside those of a bare copy on the same disk, taken in turn."""
    copies, logs, place = [], [], Path(folder)
    with mlflow.start_run():
        mlflow.log_text("warm", "warm.txt")
        for number in range(3):
            began = time.perf_counter()
            shutil.copyfile(path, place / "copy")
            copies.append(time.perf_counter() - began)
            (place / "copy").unlink()
            began = time.perf_counter()
            mlflow.log_artifact(path, str(number))
            logs.append(time.perf_counter() - began)
    return {"copy": float(np.median(copies)), "log": float(np.median(logs)), "megabytes": _megabytes()}


def _rest(what: Callable[[], object]) -> float:
    before = _megabytes()
    what()
    return _megabytes() - before


def _megabytes() -> float:
    """The most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    found = {"calls": calls, "loop": loop, "points": points, "artifact": artifact}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(found), flush=True)
    if os.environ.get("LEAVE_AT_ONCE"):
        os._exit(0)
