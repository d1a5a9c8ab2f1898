"""Only one command at a time moves an alias.

MLflow knows no compare-and-set. So each announces itself, by a tag of the registered model with a name of its own, and
looks for others then: of two at once, at least the second sees the first, and whoever sees another gives way. An
announcement that was left behind by a process that was killed holds for a minute.

What remains: a process that is stopped for longer than that in the milliseconds between its last look and its move; and
whoever moves the alias with MLflow's own means.
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlflow import MlflowClient
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from kmnist.errors import ModelError
from kmnist.registry.server import asked

SECONDS = 60


@contextmanager
def lease(client: MlflowClient, name: str, alias: str) -> Iterator[RegisteredModel]:
    """The registered model as it is while nobody else moves ``alias``.

    Raises:
        ModelError: another command is moving it.
        TrackingError: the server does not answer.
    """
    prefix = f"moving.{alias}."
    mine = prefix + uuid.uuid4().hex[:12]
    try:
        with asked():
            client.set_registered_model_tag(name, mine, f"{time.time():.0f}")
            for key, since in client.get_registered_model(name).tags.items():
                if not key.startswith(prefix) or key == mine:
                    continue
                if _holds(since):
                    raise ModelError(
                        f"another command is moving the alias {alias!r} right now; see where it is (kmnist models), "
                        f"and try again. If that command was killed: in {SECONDS} seconds"
                    )
                client.delete_registered_model_tag(name, key)
            registered = client.get_registered_model(name)  # again: a move that ended before is in it
        yield registered
    finally:
        with suppress(MlflowException):  # it expires
            client.delete_registered_model_tag(name, mine)


def _holds(since: str) -> bool:
    try:
        return abs(time.time() - float(since)) <= SECONDS
    except ValueError:
        return False
