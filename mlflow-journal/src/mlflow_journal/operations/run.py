"""Writes on a run."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    RunStatus,
)
from mlflow.exceptions import RestException

from mlflow_journal.operations.base import Operation, Target, is_missing, text_map

#: The server's limits of one request.
MOST_METRICS, MOST_ENTITIES, MOST_PARAMS, MOST_TAGS, MOST_BYTES = 1000, 1000, 100, 100, 900_000
METRIC_FIELDS = ("key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest")


@dataclass(frozen=True)
class LogBatch(Operation):
    """Metrics, parameters and tags.

    Attributes:
        run_id: of the run.
        metrics: each ``[key, value, timestamp in ms, step]``, or these with model id, name and digest of a data set.
        params: names and values.
        tags: names and values.
    """

    kind: ClassVar[str] = "batch"
    run_id: str
    metrics: list[list[Any]]
    params: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "LogBatch":
        """Parts that are empty may be missing."""
        found = cls(record["run_id"], record.get("metrics", []), record.get("params", {}), record.get("tags", {}))
        found.check()
        return found

    def to_json(self) -> dict[str, Any]:
        """Without empty parts."""
        return {"op": self.kind, "run_id": self.run_id, **{name: part for name, part in self._parts() if part}}

    def check(self) -> None:
        """Metrics are rows of 4 or 7; the rest is text."""
        super().check()
        text_map(self.params), text_map(self.tags)
        for row in self.metrics:
            if len(row) not in (4, 7) or not isinstance(row[0], str) or not isinstance(row[1], int | float):
                raise TypeError(f"{row!r:.100} is no metric")

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    @property
    def superseding(self) -> bool:  # type: ignore[override]
        """Tags replace older ones; the rest is only added."""
        return bool(self.tags)

    def describe(self) -> str:
        """The names, of metrics with their steps."""
        keys = sorted({row[0] for row in self.metrics})
        steps = sorted({row[3] for row in self.metrics})
        at = f" of step {steps[0]}" if len(steps) == 1 else f" of steps {steps[0]} to {steps[-1]}" if steps else ""
        parts = [f"metrics {_some(keys)}{at}" if keys else ""]
        parts += [
            f"{name} {_some(list(part))}" for name, part in (("params", self.params), ("tags", self.tags)) if part
        ]
        return ", ".join(part for part in parts if part) or "an empty batch"

    def superseded_by(self, later: Operation) -> Operation | None:
        """Tags that were set or deleted later are not set again."""
        if later.subject != self.run_id or not self.tags:
            return self
        newer = (
            later.tags.keys() if isinstance(later, LogBatch) else {later.key} if isinstance(later, DeleteTag) else ()
        )
        left = replace(self, tags={key: text for key, text in self.tags.items() if key not in newer})
        return left if left.tags or left.params or left.metrics else None

    def send(self, target: Target) -> None:
        """In requests that the server takes. Metrics are sorted: two writers then do not lock each other out."""
        for body in self.bodies():
            target.server.post("runs/log-batch", {"run_id": self.run_id, **body})

    def bodies(self) -> Iterator[dict[str, Any]]:
        """The requests, each within the server's limits."""
        params, tags = list(self.params.items()), list(self.tags.items())
        metrics = sorted(self.metrics, key=lambda row: row[0])
        start = 0
        while params or tags or start < len(metrics):
            body: dict[str, Any] = {}
            if params:
                body["params"] = [{"key": key, "value": value} for key, value in params[:MOST_PARAMS]]
            if tags:
                body["tags"] = [{"key": key, "value": value} for key, value in tags[:MOST_TAGS]]
            room = MOST_ENTITIES - len(body.get("params", ())) - len(body.get("tags", ()))
            size = sum(len(key) + len(value) + 30 for key, value in params[:MOST_PARAMS] + tags[:MOST_TAGS])
            end = start
            while end < len(metrics) and end - start < min(room, MOST_METRICS) and size < MOST_BYTES:
                size += metric_bytes(metrics[end])
                end += 1
            if end > start:
                body["metrics"] = [_metric_json(row) for row in metrics[start:end]]
            yield body
            params, tags, start = params[MOST_PARAMS:], tags[MOST_TAGS:], end

    def _parts(self) -> tuple[tuple[str, Any], ...]:
        return ("metrics", self.metrics), ("params", self.params), ("tags", self.tags)


@dataclass(frozen=True)
class DeleteTag(Operation):
    """A tag that goes."""

    kind: ClassVar[str] = "delete_tag"
    superseding: ClassVar[bool] = True
    run_id: str
    key: str

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    def describe(self) -> str:
        """The tag's name."""
        return f"deletion of tag {self.key}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """A tag that was set later stays."""
        same = isinstance(later, LogBatch) and later.run_id == self.run_id and self.key in later.tags
        return None if same else self

    def send(self, target: Target) -> None:
        """It may be gone already: the answer was lost."""
        try:
            target.server.store.delete_tag(self.run_id, self.key)
        except RestException as error:
            if not is_missing(error) or self.key in target.server.store.get_run(self.run_id).data.tags:
                raise


@dataclass(frozen=True)
class UpdateRun(Operation):
    """Status, end and name of a run; ``None``: as it is."""

    kind: ClassVar[str] = "update_run"
    superseding: ClassVar[bool] = True
    forced: ClassVar[bool] = True
    run_id: str
    status: str | None
    end_time: int | None
    name: str | None

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    def describe(self) -> str:
        """What changes."""
        return ", ".join([f"status {self.status}"] * bool(self.status) + [f"name {self.name}"] * bool(self.name))

    def superseded_by(self, later: Operation) -> Operation | None:
        """A later status or name takes the place of this one."""
        if not isinstance(later, UpdateRun) or later.run_id != self.run_id:
            return self
        left = self
        if later.status:
            left = replace(left, status=None, end_time=None)
        if later.name:
            left = replace(left, name=None)
        return left if left.status or left.name else None

    def send(self, target: Target) -> None:
        """Tell the server."""
        status = RunStatus.from_string(self.status) if self.status else None
        target.server.store.update_run_info(self.run_id, status, self.end_time, self.name)


@dataclass(frozen=True)
class LogInputs(Operation):
    """Data sets, each with fields and ``tags``, and ids of models."""

    kind: ClassVar[str] = "inputs"
    run_id: str
    datasets: list[dict[str, Any]]
    models: list[str]

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    def describe(self) -> str:
        """The names."""
        return f"inputs {_some([str(dataset.get('name')) for dataset in self.datasets] + self.models)}"

    def entities(self) -> tuple[list[DatasetInput], list[LoggedModelInput]]:
        """As MLflow has them."""
        datasets = []
        for dataset in self.datasets:
            named = {key: value for key, value in dataset.items() if key != "tags"}
            tags = [InputTag(key, value) for key, value in dataset.get("tags", {}).items()]
            datasets.append(DatasetInput(Dataset(**named), tags))
        return datasets, [LoggedModelInput(model_id) for model_id in self.models]

    def send(self, target: Target) -> None:
        """Tell the server; what it has already it does not take twice."""
        datasets, models = self.entities()
        target.server.store.log_inputs(self.run_id, datasets=datasets or None, models=models or None)


@dataclass(frozen=True)
class LogOutputs(Operation):
    """Models that a run made: ``[model id, step]`` each."""

    kind: ClassVar[str] = "outputs"
    run_id: str
    models: list[tuple[str, int]]

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    def describe(self) -> str:
        """The models."""
        return f"outputs {_some([model_id for model_id, _ in self.models])}"

    def send(self, target: Target) -> None:
        """Only what is not there: the server answers a repetition with an error."""
        outputs = target.server.store.get_run(self.run_id).outputs
        there = {output.model_id for output in (outputs.model_outputs if outputs else [])}
        missing = [LoggedModelOutput(model_id, step) for model_id, step in self.models if model_id not in there]
        if missing:
            target.server.store.log_outputs(self.run_id, missing)


@dataclass(frozen=True)
class RecordModel(Operation):
    """A model in a run's history of models: the old way, as a tag."""

    kind: ClassVar[str] = "record_model"
    run_id: str
    model: dict[str, Any]

    @property
    def subject(self) -> str:
        """The run."""
        return self.run_id

    def describe(self) -> str:
        """Where the model lies."""
        return f"record of model {self.model.get('artifact_path')}"

    def send(self, target: Target) -> None:
        """Only if it is not there: the server would add it twice."""
        history = target.server.store.get_run(self.run_id).data.tags.get("mlflow.log-model.history", "[]")
        if self.model.get("model_uuid") not in {model.get("model_uuid") for model in json.loads(history)}:
            target.server.post("runs/log-model", {"run_id": self.run_id, "model_json": json.dumps(self.model)})


def metric_bytes(row: list[Any]) -> int:
    """About how much a metric takes in a request."""
    return 110 + len(row[0]) + (sum(len(str(part)) + 20 for part in row[4:]) if len(row) > 4 else 0)


def _metric_json(row: list[Any]) -> dict[str, Any]:
    """As the server reads it: numbers that JSON has not are words."""
    value = row[1]
    if not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    found = {"key": row[0], "value": value, "timestamp": row[2], "step": row[3]}
    found.update((name, part) for name, part in zip(METRIC_FIELDS[4:], row[4:]) if part is not None)
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
