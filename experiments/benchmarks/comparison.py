"""Whether two runs of the same seed are the same in a tracking server, but for what depends on clocks."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist.registry import load_model

TIMED = ("system/", "epoch_seconds", "images_per_second")  # whose values differ from run to run
STAMP = re.compile(r"\+timestamp\+\d+\+[0-9a-f-]{36}")


@dataclass
class Findings:
    """What is wrong with a run, in numbers.

    Attributes:
        lost: points of metrics that are missing.
        doubled: points that are there twice.
        changed: points with another value, and parameters or data sets that differ.
        files: artifacts that are missing, too many, or of other content.
        models: models that are missing, too many, not ready, or answer differently.
        statuses: runs that are not FINISHED.
        orphans: runs and versions that nobody asked for.
        exits: commands whose exit status is not true.
        blocked_seconds: between the end of one epoch and the start of the next, over the training.
    """

    lost: int = 0
    doubled: int = 0
    changed: int = 0
    files: int = 0
    models: int = 0
    statuses: int = 0
    orphans: int = 0
    exits: int = 0
    blocked_seconds: float = 0.0

    def add(self, other: "Findings") -> None:
        """Sum up; of the seconds, the most."""
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            both = max(ours, theirs) if field.name == "blocked_seconds" else ours + theirs
            setattr(self, field.name, both)

    def __str__(self) -> str:
        return (
            f"{self.lost} points lost, {self.doubled} doubled, {self.changed} changed; {self.files} files, "
            f"{self.models} models, {self.statuses} statuses, {self.exits} exit statuses wrong; "
            f"{self.orphans} orphans; at most {self.blocked_seconds:.2f} s blocked"
        )


@dataclass(frozen=True)
class Snapshot:
    """What a tracking server has of a run.

    Attributes:
        status: for example FINISHED.
        params: its parameters.
        data: its data sets.
        points: step and value of every metric.
        files: content of its artifacts, by name, without the times in it.
        models: state and answers of its logged models.
    """

    status: str
    params: dict[str, str]
    data: list[str]
    points: dict[str, list[tuple[int, float]]]
    files: dict[str, bytes]
    models: list[tuple[str, bytes]]


def take_snapshot(client: MlflowClient, run_id: str) -> Snapshot:
    """Everything that the server has of a run."""
    run = client.get_run(run_id)
    given = run.inputs.dataset_inputs if run.inputs else []
    return Snapshot(
        status=run.info.status,
        params=run.data.params,
        data=sorted(f"{data.tags} {data.dataset.digest} {data.dataset.profile}" for data in given),
        points={key: _points(client, run_id, key) for key in run.data.metrics},
        files=_files(client, run_id),
        models=_models(client, run),
    )


def compare(found: Snapshot, expected: Snapshot) -> Findings:
    """What is wrong with a run, measured by another one of the same settings."""
    findings = Findings(
        changed=int(found.params != expected.params) + int(found.data != expected.data),
        files=sum(found.files.get(name) != expected.files.get(name) for name in found.files | expected.files),
        models=int(found.models != expected.models),
        statuses=int(found.status != "FINISHED"),
    )
    for key in found.points | expected.points:
        points, wanted = found.points.get(key, []), expected.points.get(key, [])
        steps, wanted_steps = {step for step, _ in points}, {step for step, _ in wanted}
        findings.lost += len(wanted_steps - steps)
        findings.doubled += len(points) - len(steps) + len(steps - wanted_steps)
        if not key.startswith(TIMED):
            findings.changed += len(set(points) - set(wanted))
    return findings


def blocked_seconds(client: MlflowClient, run_id: str, killed_after: int | None) -> float:
    """What lies between the epochs of a training, but for the time in which it was dead after ``killed_after``."""
    ends = {point.step: point.timestamp / 1000 for point in client.get_metric_history(run_id, "epoch_seconds")}
    seconds = dict(_points(client, run_id, "epoch_seconds"))
    gaps = [ends[step] - ends[step - 1] - seconds[step] for step in ends if step > 1 and step - 1 != killed_after]
    return sum(max(gap, 0) for gap in gaps)


def _points(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, key)]


def _files(client: MlflowClient, run_id: str) -> dict[str, bytes]:
    with TemporaryDirectory() as place:
        folder = Path(client.download_artifacts(run_id, "", place))
        paths = [path for path in folder.rglob("*") if path.is_file()]
        return {STAMP.sub("", str(path.relative_to(folder))): path.read_bytes() for path in paths}


def _models(client: MlflowClient, run: Run) -> list[tuple[str, bytes]]:
    images = np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8)
    found = []
    for model in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"):
        classifier = load_model(model.model_uri, tracking_uri=client.tracking_uri)
        found.append((str(model.status), classifier.predict(images).probabilities.tobytes()))
    return found
