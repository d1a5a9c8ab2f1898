"""Writes on a logged model."""

from dataclasses import dataclass, replace
from typing import ClassVar

from mlflow.entities import LoggedModelParameter, LoggedModelStatus, LoggedModelTag
from mlflow.exceptions import RestException

from mlflow_journal.operations.base import Operation, Target, is_missing, text_map


@dataclass(frozen=True)
class LogModelParams(Operation):
    """Parameters of a model."""

    kind: ClassVar[str] = "model_params"
    model_id: str
    params: dict[str, str]

    @property
    def subject(self) -> str:
        """The model."""
        return self.model_id

    def check(self) -> None:
        """All is text."""
        super().check()
        text_map(self.params)

    def describe(self) -> str:
        """Which model's."""
        return f"{len(self.params)} parameters of model {self.model_id}"

    def send(self, target: Target) -> None:
        """Only what is not there: the server answers a repetition with an error."""
        there = target.server.store.get_logged_model(self.model_id).params
        missing = [LoggedModelParameter(key, value) for key, value in self.params.items() if key not in there]
        if missing:
            target.server.store.log_logged_model_params(self.model_id, missing)


@dataclass(frozen=True)
class FinalizeModel(Operation):
    """The status that a model has at last."""

    kind: ClassVar[str] = "finalize_model"
    superseding: ClassVar[bool] = True
    forced: ClassVar[bool] = True
    model_id: str
    status: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model_id

    def describe(self) -> str:
        """The status, and whose."""
        return f"status {self.status} of model {self.model_id}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """By a later status."""
        return None if isinstance(later, FinalizeModel) and later.model_id == self.model_id else self

    def send(self, target: Target) -> None:
        """Tell the server."""
        target.server.store.finalize_logged_model(self.model_id, LoggedModelStatus(self.status))


@dataclass(frozen=True)
class SetModelTags(Operation):
    """Tags of a model."""

    kind: ClassVar[str] = "model_tags"
    superseding: ClassVar[bool] = True
    model_id: str
    tags: dict[str, str]

    @property
    def subject(self) -> str:
        """The model."""
        return self.model_id

    def check(self) -> None:
        """All is text."""
        super().check()
        text_map(self.tags)

    def describe(self) -> str:
        """The names, and whose."""
        return f"tags {', '.join(self.tags)} of model {self.model_id}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """Tags that were set or deleted later are not set again."""
        if later.subject != self.model_id:
            return self
        newer = (
            later.tags.keys()
            if isinstance(later, SetModelTags)
            else {later.key}
            if isinstance(later, DeleteModelTag)
            else ()
        )
        tags = {key: text for key, text in self.tags.items() if key not in newer}
        return replace(self, tags=tags) if tags else None

    def send(self, target: Target) -> None:
        """Tell the server."""
        tags = [LoggedModelTag(key, value) for key, value in self.tags.items()]
        target.server.store.set_logged_model_tags(self.model_id, tags)


@dataclass(frozen=True)
class DeleteModelTag(Operation):
    """A tag of a model that goes."""

    kind: ClassVar[str] = "delete_model_tag"
    superseding: ClassVar[bool] = True
    model_id: str
    key: str

    @property
    def subject(self) -> str:
        """The model."""
        return self.model_id

    def describe(self) -> str:
        """The name, and whose."""
        return f"deletion of tag {self.key} of model {self.model_id}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """A tag that was set later stays."""
        same = isinstance(later, SetModelTags) and later.model_id == self.model_id and self.key in later.tags
        return None if same else self

    def send(self, target: Target) -> None:
        """It may be gone already: the answer was lost."""
        try:
            target.server.store.delete_logged_model_tag(self.model_id, self.key)
        except RestException as error:
            if not is_missing(error) or self.key in target.server.store.get_logged_model(self.model_id).tags:
                raise
