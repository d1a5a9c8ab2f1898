"""What this process has written, as MLflow's entities: for as long as the server cannot be asked.

It starts from what the server said last of a run, experiment or model, or from its creation here, and follows every
write. It keeps the last value of each metric, not its history: that is on disk, in the journal.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mlflow.entities import (
    Experiment,
    LoggedModel,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    RunStatus,
    RunTag,
)
from mlflow.entities.logged_model_output import LoggedModelOutput
from mlflow.utils.time import get_current_time_millis

from mlflow_journal.identities import ARTIFACTS, Identities
from mlflow_journal.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteModelTag,
    DeleteTag,
    FinalizeModel,
    LogBatch,
    LogInputs,
    LogModelParams,
    LogOutputs,
    Operation,
    SetModelTags,
    UpdateRun,
)

MOST_RUNS = 500  # of which the oldest is forgotten


@dataclass
class RunState:
    """A run as this process knows it."""

    info: dict[str, Any] | None = None
    metrics: dict[str, list[Any]] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[Any] = field(default_factory=list)
    model_inputs: list[Any] = field(default_factory=list)
    model_outputs: list[Any] = field(default_factory=list)

    def entity(self) -> Run | None:
        """As MLflow has it; ``None``: too little is known."""
        if self.info is None:
            return None
        metrics = [Metric(*row[:4]) for row in self.metrics.values()]
        params = [Param(key, value) for key, value in self.params.items()]
        tags = [RunTag(key, value) for key, value in self.tags.items()]
        return Run(
            RunInfo(**self.info),
            RunData(metrics, params, tags),
            RunInputs(list(self.datasets), list(self.model_inputs)),
            RunOutputs(list(self.model_outputs)),
        )

    def log_metric(self, row: list[Any]) -> None:
        """The last value is the one at the largest step, then time, then value, as on the server."""
        known = self.metrics.get(row[0])
        if known is None or (row[3], row[2], row[1]) >= (known[3], known[2], known[1]):
            self.metrics[row[0]] = row


class Mirror:
    """The runs, experiments and models that this process has made, asked for or written to."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._runs: OrderedDict[str, RunState] = OrderedDict()
        self._experiments: dict[str, Experiment] = {}
        self._models: OrderedDict[str, LoggedModel] = OrderedDict()
        self._owners: dict[str, str] = {}
        self._mutex = threading.RLock()

    def run(self, run_id: str) -> Run | None:
        """A run; ``None``: it is not known here."""
        with self._mutex:
            state = self._runs.get(run_id) or self._runs.get(self._identities.canonical(run_id))
            return state.entity() if state else None

    def param(self, run_id: str, key: str) -> str | None:
        """The value of a parameter that is known here."""
        with self._mutex:
            state = self._runs.get(run_id)
            return state.params.get(key) if state else None

    def runs_of(self, experiment_ids: Iterable[str]) -> list[Run]:
        """All runs of these experiments that are known here, newest first."""
        wanted = set(experiment_ids)
        with self._mutex:
            found = [state.entity() for state in self._runs.values()]
        runs = [run for run in found if run is not None and run.info.experiment_id in wanted]
        return sorted(runs, key=lambda run: -int(run.info.start_time or 0))

    def experiment(self, experiment_id: str) -> Experiment | None:
        """An experiment, by its id."""
        return self._experiments.get(experiment_id)

    def experiment_by_name(self, name: str) -> Experiment | None:
        """An experiment, by its name."""
        with self._mutex:
            return next((found for found in self._experiments.values() if found.name == name), None)

    def model(self, model_id: str) -> LoggedModel | None:
        """A logged model."""
        return self._models.get(model_id) or self._models.get(self._identities.canonical(model_id))

    def owner(self, artifact_uri: str) -> str:
        """The run or model whose artifact root this is; empty: it is not known here."""
        if artifact_uri.startswith(ARTIFACTS):
            return artifact_uri.removeprefix(ARTIFACTS).partition("/")[0]
        return self._owners.get(artifact_uri.rstrip("/"), "")

    def learn_run(self, run: Run) -> None:
        """What the server says of a run, of which nothing is pending."""
        info, data = run.info, run.data
        state = RunState(
            {
                "run_id": info.run_id,
                "experiment_id": info.experiment_id,
                "user_id": info.user_id,
                "status": info.status,
                "start_time": info.start_time,
                "end_time": info.end_time,
                "lifecycle_stage": info.lifecycle_stage,
                "artifact_uri": info.artifact_uri,
                "run_name": info.run_name,
            },
            {m.key: [m.key, m.value, m.timestamp, m.step] for m in data._metric_objs},
            dict(data.params),
            dict(data.tags),
        )
        if run.inputs:
            state.datasets = list(run.inputs.dataset_inputs)
            state.model_inputs = list(getattr(run.inputs, "model_inputs", None) or [])
        if outputs := getattr(run, "outputs", None):
            state.model_outputs = list(outputs.model_outputs)
        with self._mutex:
            self._keep(info.run_id, state)

    def learn_experiment(self, experiment: Experiment) -> None:
        """What the server says of an experiment."""
        with self._mutex:
            self._experiments[experiment.experiment_id] = experiment

    def learn_model(self, model: LoggedModel) -> None:
        """What the server says of a model, of which nothing is pending."""
        with self._mutex:
            self._models[model.model_id] = model
            self._owners[str(model.artifact_location).rstrip("/")] = model.model_id
            while len(self._models) > MOST_RUNS:
                self._models.popitem(last=False)

    def apply(self, operation: Operation) -> None:
        """Follow a write."""
        with self._mutex:
            match operation:
                case LogBatch(run_id=run_id):
                    state = self._state(run_id)
                    for row in operation.metrics:
                        state.log_metric(row)
                    state.params.update(operation.params)
                    state.tags.update(operation.tags)
                    if state.info and "mlflow.runName" in operation.tags:
                        state.info["run_name"] = operation.tags["mlflow.runName"]
                case DeleteTag(run_id=run_id, key=key):
                    self._state(run_id).tags.pop(key, None)
                case UpdateRun(run_id=run_id):
                    self._update(self._state(run_id), operation)
                case LogInputs(run_id=run_id):
                    datasets, models = operation.entities()
                    self._state(run_id).datasets += datasets
                    self._state(run_id).model_inputs += models
                case LogOutputs(run_id=run_id):
                    outputs = [LoggedModelOutput(model_id, step) for model_id, step in operation.models]
                    self._state(run_id).model_outputs += outputs
                case CreateRun():
                    self._begin_run(operation)
                case CreateExperiment():
                    self._experiments[operation.provisional] = operation.entity()
                case CreateModel():
                    self.learn_model(_model(operation))
                case FinalizeModel() | SetModelTags() | DeleteModelTag() | LogModelParams():
                    self._change_model(operation)

    def after_fork(self, identities: Identities) -> "Mirror":
        """For a child process: the same knowledge, with locks of its own."""
        child = Mirror(identities)
        child._runs.update(self._runs)
        child._experiments.update(self._experiments)
        child._models.update(self._models)
        child._owners.update(self._owners)
        return child

    def log_metric(self, run_id: str, row: list[Any]) -> None:
        """The same as a batch of one metric, for the call that is made most."""
        with self._mutex:
            self._state(run_id).log_metric(row)

    def _state(self, run_id: str) -> RunState:
        state = self._runs.get(run_id)
        if state is None:
            state = self._runs.get(self._identities.canonical(run_id)) or RunState()
            self._keep(run_id, state)
        return state

    def _keep(self, run_id: str, state: RunState) -> None:
        self._runs[run_id] = state
        self._runs.move_to_end(run_id)
        if state.info:
            self._owners[str(state.info["artifact_uri"]).rstrip("/")] = run_id
        while len(self._runs) > MOST_RUNS:
            _, old = self._runs.popitem(last=False)
            if old.info:
                self._owners.pop(str(old.info["artifact_uri"]).rstrip("/"), None)

    def _begin_run(self, made: CreateRun) -> None:
        info = {
            "run_id": made.provisional,
            "experiment_id": made.experiment_id,
            "user_id": made.user_id,
            "status": RunStatus.to_string(RunStatus.RUNNING),
            "start_time": made.start_time,
            "end_time": None,
            "lifecycle_stage": "active",
            "artifact_uri": f"{ARTIFACTS}{made.provisional}/artifacts",
            "run_name": made.name,
        }
        self._keep(made.provisional, RunState(info, tags=dict(made.tags)))

    @staticmethod
    def _update(state: RunState, update: UpdateRun) -> None:
        if state.info is None:
            return
        if update.status:
            state.info["status"] = update.status
            state.info["end_time"] = update.end_time
        if update.name:
            state.info["run_name"] = update.name
            state.tags["mlflow.runName"] = update.name

    def _change_model(self, operation: Operation) -> None:
        known = self.model(operation.subject)
        if known is None:
            return
        status = str(known.status)
        tags, params = dict(known.tags), dict(known.params)
        match operation:
            case FinalizeModel():
                status = operation.status
            case SetModelTags():
                tags.update(operation.tags)
            case DeleteModelTag(key=key):
                tags.pop(key, None)
            case LogModelParams():
                params.update(operation.params)
        self._models[operation.subject] = _copy_model(known, status, tags, params)


def _model(made: CreateModel) -> LoggedModel:
    now = get_current_time_millis()
    return LoggedModel(
        made.experiment_id,
        made.provisional,
        made.name or made.provisional,
        f"{ARTIFACTS}{made.provisional}/artifacts",
        now,
        now,
        made.model_type,
        made.source_run_id,
        LoggedModelStatus.PENDING,
        tags=dict(made.tags),
        params=dict(made.params),
    )


def _copy_model(model: LoggedModel, status: str, tags: dict[str, str], params: dict[str, str]) -> LoggedModel:
    return LoggedModel(
        model.experiment_id,
        model.model_id,
        model.name,
        model.artifact_location,
        model.creation_timestamp,
        get_current_time_millis(),
        model.model_type,
        model.source_run_id,
        LoggedModelStatus(status),
        tags=tags,
        params=params,
    )
