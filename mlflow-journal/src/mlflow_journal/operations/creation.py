"""Making an experiment, a run or a logged model exactly once, whatever becomes of the request or of its answer.

A server gives the ids, so a creation that is repeated makes a second run. Each creation therefore has a tag of its own,
which is looked for before every further attempt; of what was made twice, by a proxy that repeats, one stays.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from mlflow.entities import (
    Experiment,
    ExperimentTag,
    LifecycleStage,
    LoggedModel,
    LoggedModelParameter,
    LoggedModelTag,
    Run,
    RunTag,
    ViewType,
)
from mlflow.exceptions import RestException

from mlflow_journal.identities import CREATION_TAG, new_id, new_model_id
from mlflow_journal.operations.base import Operation, Target, text_map
from mlflow_journal.server import Server

T = TypeVar("T")


class Creation(Operation):
    """What begins something; its ``provisional`` id stands for it until the server has given one."""

    forced: ClassVar[bool] = True
    provisional: str
    tags: dict[str, str]

    def check(self) -> None:
        """All is text, and the creation can be found again."""
        super().check()
        if CREATION_TAG not in text_map(self.tags):
            raise ValueError(f"the tag {CREATION_TAG} is missing")

    @property
    def subject(self) -> str:
        """What it begins."""
        return self.provisional

    def send(self, target: Target) -> None:
        """Make it, or find it made, and remember its id."""
        if target.identities.find(self.provisional) is None:
            target.identities.record(self.provisional, self.make(target.server, tried=True))

    def make(self, server: Server, *, tried: bool) -> str:
        """The server's id. ``tried``: it may have been made already.

        Raises:
            ServerAway: whether it was made is not known.
            RestException: the server refuses.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class CreateExperiment(Creation):
    """A new experiment."""

    kind: ClassVar[str] = "create_experiment"
    provisional: str
    name: str
    artifact_location: str | None
    tags: dict[str, str]

    def describe(self) -> str:
        """Its name."""
        return f"experiment {self.name}"

    def make(self, server: Server, *, tried: bool) -> str:
        """Names are unique: one that is there is taken, if it is ours, or if it was made while we could not ask."""
        tags = [ExperimentTag(key, value) for key, value in self.tags.items()]
        try:
            return str(server.store.create_experiment(self.name, self.artifact_location, tags))
        except RestException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = server.store.get_experiment_by_name(self.name)
            if found is None or not (tried or found.tags.get(CREATION_TAG) == self.tags[CREATION_TAG]):
                raise
            if found.lifecycle_stage != LifecycleStage.ACTIVE:
                raise
            return str(found.experiment_id)

    def entity(self) -> Experiment:
        """As long as the server has none."""
        return Experiment(
            self.provisional,
            self.name,
            self.artifact_location or f"mlflow-artifacts:/journal/{self.provisional}",
            LifecycleStage.ACTIVE,
            [ExperimentTag(key, value) for key, value in self.tags.items()],
        )


@dataclass(frozen=True)
class CreateRun(Creation):
    """A new run."""

    kind: ClassVar[str] = "create_run"
    provisional: str
    experiment_id: str
    user_id: str
    start_time: int
    tags: dict[str, str]
    name: str | None

    def describe(self) -> str:
        """Its name."""
        return f"run {self.name or self.provisional}"

    def make(self, server: Server, *, tried: bool) -> str:
        """The id of the run on the server."""
        return str(self.make_run(server, tried=tried).info.run_id)

    def make_run(self, server: Server, *, tried: bool) -> Run:
        """The run on the server."""
        found = self._found(server) if tried else []
        if not found:
            tags = [RunTag(key, value) for key, value in self.tags.items()]
            made = server.store.create_run(self.experiment_id, self.user_id, self.start_time, tags, self.name)
            found = _first(self._found(server), made, lambda run: run.info.run_id)
        for extra in found[1:]:
            if extra.info.lifecycle_stage == LifecycleStage.ACTIVE:
                server.store.delete_run(extra.info.run_id)
        return found[0]

    def _found(self, server: Server) -> list[Run]:
        own = f"tags.`{CREATION_TAG}` = '{self.tags[CREATION_TAG]}'"
        order = ["attributes.start_time ASC"]
        found = server.store.search_runs([self.experiment_id], own, ViewType.ALL, 100, order, None)
        return sorted(found, key=lambda run: str(run.info.lifecycle_stage))  # active ones first


@dataclass(frozen=True)
class CreateModel(Creation):
    """A new logged model."""

    kind: ClassVar[str] = "create_model"
    provisional: str
    experiment_id: str
    name: str | None
    source_run_id: str | None
    tags: dict[str, str]
    params: dict[str, str]
    model_type: str | None

    def describe(self) -> str:
        """Its name."""
        return f"model {self.name or self.provisional}"

    def make(self, server: Server, *, tried: bool) -> str:
        """The id of the model on the server."""
        return str(self.make_model(server, tried=tried).model_id)

    def make_model(self, server: Server, *, tried: bool) -> LoggedModel:
        """The model on the server."""
        found = self._found(server) if tried else []
        if not found:
            tags = [LoggedModelTag(key, value) for key, value in self.tags.items()]
            params = [LoggedModelParameter(key, value) for key, value in self.params.items()]
            made = server.store.create_logged_model(
                self.experiment_id, self.name, self.source_run_id, tags, params, self.model_type
            )
            found = _first(self._found(server), made, lambda model: model.model_id)
        for extra in found[1:]:
            server.store.delete_logged_model(extra.model_id)
        return found[0]

    def _found(self, server: Server) -> list[LoggedModel]:
        own = f"tags.`{CREATION_TAG}` = '{self.tags[CREATION_TAG]}'"
        return list(server.store.search_logged_models([self.experiment_id], own, max_results=50))


def creation_tag() -> dict[str, str]:
    """The tag that makes a creation findable."""
    return {CREATION_TAG: uuid.uuid4().hex}


def new_provisional(kind: type[Creation]) -> str:
    """An id for what is to be made."""
    return new_model_id() if kind is CreateModel else new_id()


def _first(found: Iterable[T], made: T, identify: Any) -> list[T]:
    """``made`` before the others that were found."""
    return [made, *(other for other in found if identify(other) != identify(made))]
