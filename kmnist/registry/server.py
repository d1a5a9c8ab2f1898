"""What the registry answers: not there, or not to be asked. Taken for each other, a gate would open at an outage."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from kmnist.addresses import redact
from kmnist.errors import ModelError, TrackingError, in_one_line, root_cause

T = TypeVar("T")


def look_up(call: Callable[[], T]) -> T | None:
    """What ``call`` gives; ``None`` if, and only if, the server says that there is no such thing.

    Raises:
        TrackingError: the server does not answer, or something else.
    """
    with asked():
        try:
            return call()
        except MlflowException as error:
            if is_not_found(error):
                return None
            raise


def look_up_version(client: MlflowClient, name: str, number: str) -> ModelVersion | None:
    """A version by its number; ``None`` if there is none, or it is no number.

    Raises:
        TrackingError: the server does not answer, or something else.
    """
    return look_up(lambda: client.get_model_version(name, number)) if re.fullmatch("[0-9]{1,9}", number) else None


def registered_names(client: MlflowClient) -> str:
    """The names of all registered models, for a message; empty: there are none.

    Raises:
        TrackingError: the server does not answer.
    """
    with asked():
        return ", ".join(found.name for found in client.search_registered_models())


def require_active(run: Run) -> None:
    """See that a run is not deleted: MLflow gives those, too, and `mlflow gc` takes their models at any time.

    Raises:
        ModelError: it is.
    """
    if run.info.lifecycle_stage != "active":
        raise ModelError(
            f"run {run.info.run_id} is deleted; to have it back: mlflow runs restore --run-id {run.info.run_id}"
        )


@contextmanager
def asked() -> Iterator[None]:
    """Around everything that is asked of the server or told to it.

    Raises:
        TrackingError: it does not answer, or refuses.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:  # OSError: a local store that cannot be
        raise TrackingError(
            f"the tracking server has not done what it was asked ({one_line(error)}); what was done before that stays, "
            "and the same command can be given again"
        ) from error


def is_not_found(error: MlflowException) -> bool:
    """Whether the server says that what was asked for does not exist."""
    return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")


def one_line(error: BaseException) -> str:
    """The innermost reason of an error, in one line without passwords."""
    return redact(in_one_line(root_cause(error)))[:400]
