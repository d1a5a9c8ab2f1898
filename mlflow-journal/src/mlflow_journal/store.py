"""MLflow's tracking store over the journal: writes are journaled, reads ask the server after what is pending is sent.

It is a ``RestStore``, because MLflow asks for that class; every request that is not named here goes to the server with
a patience of seconds.
"""

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn, TypeVar

from mlflow.entities import Run, RunInfo, RunStatus, ViewType
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.entities.paged_list import PagedList
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.name_utils import _generate_random_name
from mlflow.utils.search_utils import SearchUtils
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_experiment_name,
    _validate_experiment_tag,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_run_id,
    _validate_tag,
)

from mlflow_journal import history, process
from mlflow_journal.errors import ServerAway, Unresolved
from mlflow_journal.identities import CREATION_TAG
from mlflow_journal.operations import (
    CreateExperiment,
    CreateModel,
    CreateRun,
    DeleteExperimentTag,
    DeleteModelTag,
    DeleteTag,
    FinalizeModel,
    LogBatch,
    LogInputs,
    LogModelParams,
    LogOutputs,
    Operation,
    RecordModel,
    SetExperimentTag,
    SetModelTags,
    UpdateRun,
)
from mlflow_journal.operations.creation import creation_tag, new_provisional
from mlflow_journal.server import CONNECT_SECONDS, READ_SECONDS, DirectStore
from mlflow_journal.settings import Settings

T = TypeVar("T")
#: That a read waits for what is pending, before it answers from what this process knows.
FLUSH_SECONDS = 3.0


class JournalStore(DirectStore):
    """The tracking store of one address.

    Args:
        address: http or https, of the server.
        settings: of the journal.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        super().__init__(partial(get_default_host_creds, address))
        self.address, self.settings = address, settings
        self._missing: set[str] = set()  # names of experiments of which this process was told that there are none

    @property
    def process(self) -> process.Process:
        """The journal and sender of this process."""
        return process.of(self.address, self.settings)

    def _call(self, endpoint: str, method: str, body: Any) -> dict[str, Any]:
        """Provisional ids in a request become the server's."""
        resolve = self.process.identities.resolve
        if body is not None:
            body = json.loads(resolve(json.dumps(body)))
        return super()._call(resolve(endpoint), method, body)

    # Writes on a run

    def log_metric(self, run_id: str, metric: Any) -> None:
        """Journal a metric."""
        _validated_run(run_id)
        _validated(_validate_metric, metric.key, metric.value, metric.timestamp, metric.step)
        row = metric_row(metric)
        here = self.process
        here.append({"op": LogBatch.kind, "run_id": run_id, "metrics": [row]}, run_id)
        here.mirror.log_metric(run_id, row)

    def log_param(self, run_id: str, param: Any) -> None:
        """Journal a parameter."""
        _validated_run(run_id)
        param = _validated(_validate_param, param.key, param.value) or param
        self._refuse_changes(run_id, [param])
        self.process.write(LogBatch(run_id, [], {param.key: param.value or ""}, {}))

    def set_tag(self, run_id: str, tag: Any) -> None:
        """Journal a tag."""
        _validated_run(run_id)
        tag = _validated(_validate_tag, tag.key, tag.value) or tag
        self.process.write(LogBatch(run_id, [], {}, {tag.key: tag.value or ""}))

    def delete_tag(self, run_id: str, key: str) -> None:
        """Journal that a tag goes."""
        _validated_run(run_id)
        known = self.process.mirror.run(run_id)
        if known is not None and key not in known.data.tags:
            _refuse("RESOURCE_DOES_NOT_EXIST", f"No tag with name: {key} in run with id {run_id}")
        self.process.write(DeleteTag(run_id, key))

    def log_batch(self, run_id: str, metrics: Any, params: Any, tags: Any) -> None:
        """Journal metrics, parameters and tags."""
        _validated(_validate_run_id, run_id)
        checked = _validated(_validate_batch_log_data, metrics, params, tags)
        metrics, params, tags = checked or (metrics, params, tags)
        _validated(_validate_batch_log_limits, metrics, params, tags)
        _validated(_validate_param_keys_unique, params)
        self._refuse_changes(run_id, params)
        batch = LogBatch(
            run_id,
            [metric_row(metric) for metric in metrics],
            {param.key: param.value or "" for param in params},
            {tag.key: tag.value or "" for tag in tags},
        )
        self.process.write(batch)

    def update_run_info(self, run_id: str, run_status: Any, end_time: Any, run_name: Any) -> RunInfo:
        """Journal the status, the end and the name of a run."""
        _validated(_validate_run_id, run_id)
        status = RunStatus.to_string(run_status) if run_status is not None else None
        self.process.write(UpdateRun(run_id, status, end_time, run_name or None))
        known = self.process.mirror.run(run_id)
        return known.info if known else RunInfo(run_id, "", "", status or "RUNNING", 0, end_time, "active")

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        """Journal data sets and models that a run uses."""
        _validated(_validate_run_id, run_id)
        found = [
            {**dataset_fields(given.dataset), "tags": {tag.key: tag.value for tag in given.tags or []}}
            for given in datasets or []
        ]
        self.process.write(LogInputs(run_id, found, [model.model_id for model in models or []]))

    def log_outputs(self, run_id: str, models: Any) -> None:
        """Journal models that a run made."""
        self.process.write(LogOutputs(run_id, [(model.model_id, model.step) for model in models]))

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """Journal a model in the run's history of models."""
        model = json.loads(json.dumps(mlflow_model.get_tags_dict()))
        self.process.write(RecordModel(run_id, model))

    # Creations: the server is asked first

    def create_experiment(self, name: str, artifact_location: Any = None, tags: Any = None) -> str:
        """An experiment; with a provisional id where the server is away."""
        _validated(_validate_experiment_name, name)
        given = {tag.key: tag.value for tag in tags or []}
        if self.process.is_away and self.process.mirror.experiment_by_name(name):
            _refuse("RESOURCE_ALREADY_EXISTS", f"Experiment '{name}' already exists.")
        made = CreateExperiment(new_provisional(CreateExperiment), name, artifact_location, _findable(given))
        server = self.process.server

        def make() -> str:
            try:
                return made.make(server, tried=CREATION_TAG in given)
            except RestException as error:
                found = server.store.get_experiment_by_name(name) if name in self._missing else None
                if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None or CREATION_TAG not in found.tags:
                    raise
                return str(found.experiment_id)  # made since by a journal: of a process that has ended, or of another

        return self._create(made, make, lambda: made.provisional)

    def create_run(self, experiment_id: Any, user_id: Any, start_time: Any, tags: Any, run_name: Any) -> Run:
        """A run; with a provisional id where the server is away."""
        given = {tag.key: tag.value for tag in tags or []}
        for key, value in given.items():
            _validated(_validate_tag, key, value)
        name = run_name or given.get("mlflow.runName") or _generate_random_name()
        named = _findable({**given, "mlflow.runName": name})
        provisional = new_provisional(CreateRun)
        made = CreateRun(provisional, str(experiment_id), user_id or "", start_time or 0, named, name)

        def make() -> Run:
            identities = self.process.identities
            parts = json.loads(identities.resolve(json.dumps([made.experiment_id, made.tags])))
            asked = CreateRun(provisional, parts[0], made.user_id, made.start_time, parts[1], name)
            run = asked.make_run(self.process.server, tried=CREATION_TAG in given)
            self.process.mirror.learn_run(run)
            self.process.kept.begin(run.info.artifact_uri)
            return run

        return self._create(made, make, lambda: self.process.mirror.run(provisional))

    def create_logged_model(
        self,
        experiment_id: Any,
        name: Any = None,
        source_run_id: Any = None,
        tags: Any = None,
        params: Any = None,
        model_type: Any = None,
    ) -> Any:
        """A logged model; with a provisional id where the server is away."""
        given = {tag.key: tag.value for tag in tags or []}
        values = {param.key: param.value for param in params or []}
        provisional = new_provisional(CreateModel)
        named = _findable(given)
        made = CreateModel(provisional, str(experiment_id), name, source_run_id, named, values, model_type)

        def make() -> Any:
            resolved = json.loads(self.process.identities.resolve(json.dumps({**made.to_json(), "provisional": ""})))
            asked = CreateModel.from_json(resolved)
            model = asked.make_model(self.process.server, tried=CREATION_TAG in given)
            self.process.mirror.learn_model(model)
            return model

        return self._create(made, make, lambda: self.process.mirror.model(provisional))

    # Writes on a logged model and on an experiment

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        """Journal the status of a model."""
        self.process.write(FinalizeModel(model_id, str(status)))
        return self.process.mirror.model(model_id) or self.get_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        """Journal tags of a model."""
        self.process.write(SetModelTags(model_id, {tag.key: tag.value for tag in tags}))

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Journal that a tag of a model goes."""
        self.process.write(DeleteModelTag(model_id, key))

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        """Journal parameters of a model."""
        self.process.write(LogModelParams(model_id, {param.key: param.value for param in params}))

    def set_experiment_tag(self, experiment_id: Any, tag: Any) -> None:
        """Journal a tag of an experiment."""
        _validated(_validate_experiment_tag, tag.key, tag.value)
        self.process.write(SetExperimentTag(str(experiment_id), tag.key, tag.value))

    def delete_experiment_tag(self, experiment_id: Any, key: str) -> None:
        """Journal that a tag of an experiment goes."""
        self.process.write(DeleteExperimentTag(str(experiment_id), key))

    # Reads

    def get_run(self, run_id: str) -> Run:
        """A run, with what is pending."""
        here = self.process

        def ask() -> Run:
            run = super(JournalStore, self).get_run(run_id)
            here.mirror.learn_run(run)
            return run

        return self._read((run_id,), ask, lambda: here.mirror.run(run_id) or history.load_run(here, run_id))

    def get_logged_model(self, model_id: str, *args: Any, **named: Any) -> Any:
        """A model, with what is pending."""
        here = self.process

        def ask() -> Any:
            model = super(JournalStore, self).get_logged_model(model_id, *args, **named)
            here.mirror.learn_model(model)
            return model

        return self._read((model_id,), ask, lambda: here.mirror.model(model_id))

    def get_experiment(self, experiment_id: Any) -> Any:
        """An experiment."""
        here, some_id = self.process, str(experiment_id)

        def ask() -> Any:
            found = super(JournalStore, self).get_experiment(some_id)
            here.mirror.learn_experiment(found)
            return found

        return self._read((some_id,), ask, lambda: here.mirror.experiment(some_id))

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        """An experiment, or ``None``: also where the server is away and an experiment may begin all the same."""
        here = self.process

        def ask() -> Any:
            found = super(JournalStore, self).get_experiment_by_name(experiment_name)
            if found is not None:
                here.mirror.learn_experiment(found)
            else:
                self._missing.add(experiment_name)
            return found

        try:
            return here.ask(ask, CONNECT_SECONDS)
        except ServerAway:
            found = here.mirror.experiment_by_name(experiment_name)
            if found is None and not self.settings.provisional:
                raise
            if found is None:
                self._missing.add(experiment_name)
            return found

    def get_metric_history(self, run_id: str, metric_key: str, max_results: Any = None, page_token: Any = None) -> Any:
        """All values of a metric; where the server is away, those that are pending."""
        ask = partial(super().get_metric_history, run_id, metric_key, max_results, page_token)
        here = self.process
        known = partial(history.pending_metrics, here, run_id, metric_key)
        return self._read((run_id,), ask, lambda: PagedList(known(), None) if here.mirror.run(run_id) else None)

    def _search_runs(
        self,
        experiment_ids: Any,
        filter_string: Any,
        run_view_type: Any,
        max_results: Any,
        order_by: Any,
        page_token: Any,
    ) -> Any:
        """Runs; where the server is away, those that this process knows."""
        here = self.process
        ids = [str(experiment_id) for experiment_id in experiment_ids]
        arguments = (ids, filter_string, run_view_type, max_results, order_by, page_token)

        def known() -> Any:
            runs = here.mirror.runs_of(ids)
            if not runs or run_view_type == ViewType.DELETED_ONLY:
                return None
            found = SearchUtils.sort(SearchUtils.filter(runs, filter_string), order_by)
            return SearchUtils.paginate(found, page_token, max_results)

        written = [run.info.run_id for run in here.mirror.runs_of(ids)]
        return self._read(written, partial(super()._search_runs, *arguments), known)

    # How the above is done

    def _read(self, subjects: Iterable[str], ask: Callable[[], T], known: Callable[[], T | None]) -> T:
        """What the server says once it has what is pending; where it cannot, what is known here.

        Raises:
            ServerAway: neither is to be had.
        """
        here = self.process
        arrived = here.flush(*subjects, seconds=FLUSH_SECONDS)
        if not arrived or here.is_away:
            found = known()
            if found is not None:
                return found
        try:
            return here.ask(ask, READ_SECONDS if arrived else CONNECT_SECONDS, repeat=True)
        except (ServerAway, Unresolved):
            found = known()
            if found is None:
                raise
            return found

    def _create(self, made: Operation, make: Callable[[], T], known: Callable[[], T | None]) -> T:
        """Ask the server; where it is away, journal what it is to make.

        Raises:
            ServerAway: it is away, and provisional ids are not wanted.
            RestException: it refuses.
        """
        try:
            return self.process.ask(make, CONNECT_SECONDS)
        except (ServerAway, Unresolved):
            if not self.settings.provisional:
                raise
            self.process.write(made)
            found = known()
            assert found is not None
            return found

    def _refuse_changes(self, run_id: str, params: Any) -> None:
        """As the server does, as far as it is known here."""
        for param in params:
            known = self.process.mirror.param(run_id, param.key)
            if known is not None and known != (param.value or ""):
                _refuse(
                    "INVALID_PARAMETER_VALUE",
                    f"Changing param values is not allowed. Params with key='{param.key}' was already logged with "
                    f"value='{known}' for run ID='{run_id}'. Attempted logging new value '{param.value}'.",
                )


def metric_row(metric: Any) -> list[Any]:
    """A metric as the journal keeps it."""
    row = [metric.key, float(metric.value), metric.timestamp, metric.step or 0]
    if metric.model_id or metric.dataset_name or metric.dataset_digest:
        row += [metric.model_id, metric.dataset_name, metric.dataset_digest]
    return row


def dataset_fields(dataset: Any) -> dict[str, Any]:
    """A data set as the journal keeps it."""
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    return {name: getattr(dataset, name) for name in names}


def _findable(tags: dict[str, str]) -> dict[str, str]:
    return tags if CREATION_TAG in tags else {**tags, **creation_tag()}


def _validated(validate: Callable[..., T], *arguments: Any) -> T:
    """Refuse what the server would refuse, by the exception that it would answer with."""
    try:
        return validate(*arguments)
    except RestException:
        raise
    except MlflowException as error:
        raise RestException({"error_code": error.error_code, "message": error.message}) from None


def _validated_run(run_id: Any) -> None:
    """What can be no id is one of no run."""
    try:
        _validate_run_id(run_id)
    except (MlflowException, TypeError):
        _refuse("RESOURCE_DOES_NOT_EXIST", f"Run with id={run_id} not found")


def _refuse(code: str, message: str) -> NoReturn:
    raise RestException({"error_code": code, "message": message})
