"""The exceptions of this package.

::

    MlflowException
    └── JournalError         the journal cannot take a call
        ├── JournalFull      it has reached MLFLOW_JOURNAL_MAX_BYTES, or the disk is full
        ├── ServerAway       a call needs the server, which does not answer
        └── Unresolved       a provisional id that the server has not replaced yet
    Unsendable               a record that is never sent: it is damaged or forbidden
"""

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE


class JournalError(MlflowException):
    """The journal cannot take a call. A program that catches MLflow's exceptions catches this one too."""


class JournalFull(JournalError):
    """There is no room for a record."""


class ServerAway(JournalError):
    """The server does not answer, or not as an MLflow server does.

    Args:
        message: what happened.
        retry_after: the seconds that it asks to be left alone.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message, error_code=TEMPORARILY_UNAVAILABLE)
        self.retry_after = retry_after


class Unresolved(JournalError):
    """A provisional id stands for something that is not on the server yet."""

    def __init__(self, provisional: str) -> None:
        super().__init__(
            f"{provisional} is not on the tracking server yet; its journal has to be sent first (mlflow-journal sync)",
            error_code=TEMPORARILY_UNAVAILABLE,
        )
        self.provisional = provisional


class Unsendable(Exception):
    """A record that is not sent, whatever the server says: it is damaged, or names what it must not."""
