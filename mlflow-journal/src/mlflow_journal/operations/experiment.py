"""Writes on an experiment."""

from dataclasses import dataclass
from typing import ClassVar

from mlflow.entities import ExperimentTag
from mlflow.exceptions import RestException

from mlflow_journal.operations.base import Operation, Target, is_missing


@dataclass(frozen=True)
class SetExperimentTag(Operation):
    """A tag of an experiment."""

    kind: ClassVar[str] = "experiment_tag"
    superseding: ClassVar[bool] = True
    experiment_id: str
    key: str
    value: str

    @property
    def subject(self) -> str:
        """The experiment."""
        return self.experiment_id

    def describe(self) -> str:
        """The name, and whose."""
        return f"tag {self.key} of experiment {self.experiment_id}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """By a later change of the same tag."""
        same = isinstance(later, SetExperimentTag | DeleteExperimentTag) and later.subject == self.subject
        return None if same and later.key == self.key else self  # type: ignore[attr-defined]

    def send(self, target: Target) -> None:
        """Tell the server."""
        target.server.store.set_experiment_tag(self.experiment_id, ExperimentTag(self.key, self.value))


@dataclass(frozen=True)
class DeleteExperimentTag(Operation):
    """A tag of an experiment that goes."""

    kind: ClassVar[str] = "delete_experiment_tag"
    superseding: ClassVar[bool] = True
    experiment_id: str
    key: str

    @property
    def subject(self) -> str:
        """The experiment."""
        return self.experiment_id

    def describe(self) -> str:
        """The name, and whose."""
        return f"deletion of tag {self.key} of experiment {self.experiment_id}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """A tag that was set later stays."""
        same = isinstance(later, SetExperimentTag) and later.subject == self.subject and later.key == self.key
        return None if same else self

    def send(self, target: Target) -> None:
        """It may be gone already: the answer was lost."""
        try:
            target.server.store.delete_experiment_tag(self.experiment_id, self.key)
        except RestException as error:
            if not is_missing(error) or self.key in target.server.store.get_experiment(self.experiment_id).tags:
                raise
