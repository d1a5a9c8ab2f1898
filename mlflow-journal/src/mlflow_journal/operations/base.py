"""What all operations have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from mlflow_journal.errors import Unsendable
from mlflow_journal.identities import Identities
from mlflow_journal.payloads import Payloads
from mlflow_journal.server import Server


@dataclass(frozen=True)
class Target:
    """Where operations are sent: a server, with the ids and the files that a journal has for it."""

    server: Server
    identities: Identities
    payloads: Payloads


class Operation(ABC):
    """A write. Its fields are what the journal keeps, under the same names."""

    kind: ClassVar[str]
    #: Whether a power cut must not lose it once its call has returned.
    forced: ClassVar[bool] = False
    #: Whether it may take the place of an older one.
    superseding: ClassVar[bool] = False

    @property
    @abstractmethod
    def subject(self) -> str:
        """The id of the run, model or experiment that it is about."""

    @abstractmethod
    def describe(self) -> str:
        """What it brings, in a few words."""

    @abstractmethod
    def send(self, target: Target) -> None:
        """Tell the server.

        Raises:
            ServerAway: it does not answer.
            RestException: it refuses.
            Unsendable: this must not be sent.
        """

    def superseded_by(self, later: "Operation") -> "Operation | None":
        """What of it may still be sent after ``later`` has been; ``None``: nothing."""
        return self

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {"op": self.kind, **{field.name: getattr(self, field.name) for field in fields(self)}}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """From what the journal keeps.

        Raises:
            TypeError, ValueError, KeyError: it is damaged.
        """
        found = cls(**{field.name: record[field.name] for field in fields(cls)})  # type: ignore[arg-type]
        found.check()
        return found

    def check(self) -> None:
        """Refuse fields of a wrong type; here: every id and name is text.

        Raises:
            TypeError: one is.
        """
        for field in fields(self):  # type: ignore[arg-type]
            if field.type in ("str", str) and not isinstance(getattr(self, field.name), str):
                raise TypeError(f"{field.name} is no text")


@dataclass(frozen=True)
class Damaged(Operation):
    """A record that cannot be read."""

    kind: ClassVar[str] = "damaged"
    text: str

    @property
    def subject(self) -> str:
        """None is known."""
        return ""

    def describe(self) -> str:
        """What is wrong with it."""
        return self.text

    def send(self, target: Target) -> None:
        """It cannot be."""
        raise Unsendable(self.text)


def text_map(value: Any) -> dict[str, str]:
    """Checked names and texts.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, dict) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise TypeError("it is no mapping of text to text")
    return value


def is_missing(error: Exception) -> bool:
    """Whether the server refuses because it does not know what is named."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
