"""MLflow's model registry over the journal: a version is made once what it is made of has arrived.

Nothing of the registry is journaled: names, versions and aliases are the server's to give.
"""

from functools import partial
from typing import Any

from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds

from mlflow_journal import process
from mlflow_journal.errors import ServerAway
from mlflow_journal.settings import Settings

#: For how long, without anything arriving, a registration waits for its model.
MODEL_SECONDS = 10.0


class JournalRegistry(RestStore):  # type: ignore[misc]  # MLflow has no types
    """The model registry of one address.

    Args:
        address: http or https, of the server.
        settings: of the journal.
    """

    def __init__(self, address: str, settings: Settings) -> None:
        super().__init__(partial(get_default_host_creds, address))
        self.address, self.settings = address, settings

    def create_model_version(self, name: str, source: str, run_id: Any = None, *args: Any, **named: Any) -> Any:
        """A version, made after the model has arrived.

        Raises:
            ServerAway: it has not.
        """
        here = process.of(self.address, self.settings)
        if not here.flush_all(MODEL_SECONDS):
            raise ServerAway(
                f"no version of {name!r} can be registered: the tracking server does not have its model yet "
                f"({here.sender.trouble or 'it is being sent'}); register it later, by mlflow.register_model"
            )
        resolve = here.identities.resolve
        run_id = resolve(run_id) if run_id else run_id
        if named.get("model_id"):
            named["model_id"] = resolve(named["model_id"])
        return super().create_model_version(name, resolve(source), run_id, *args, **named)
