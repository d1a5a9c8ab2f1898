"""The public door for a program that wants a journal of its own: an ``MlflowClient`` that asks no environment."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.tracking._tracking_service.client import TrackingServiceClient

from mlflow_journal import process
from mlflow_journal.artifacts import JournalArtifacts
from mlflow_journal.errors import JournalError
from mlflow_journal.settings import Settings
from mlflow_journal.store import JournalStore
from mlflow_journal.transfer import Waiting, look


@dataclass(frozen=True)
class Outcome:
    """What became of all that was written.

    Attributes:
        arrived: whether the server has all of it.
        trouble: why the server takes nothing now; ``None``: it does.
        waiting: what has not arrived; ``None``: nothing was written, or all has arrived.
    """

    arrived: bool
    trouble: str | None
    waiting: Waiting | None


class JournalClient(MlflowClient):
    """MLflow's client for one address, with a journal in a folder.

    What it writes is journaled, whether ``MLFLOW_JOURNAL_DIR`` is set or not. The model registry is MLflow's own.

    Args:
        tracking_uri: http or https, of the server.
        settings: of the journal, with its folder; ``provisional=False`` lets creations raise while the server is away.

    Raises:
        JournalError: the address is of another kind: such a store is not away.
    """

    def __init__(self, tracking_uri: str, settings: Settings) -> None:
        if not tracking_uri.startswith(("http://", "https://")):
            raise JournalError(f"{tracking_uri} needs no journal: a journal is for http and https addresses")
        super().__init__(tracking_uri)
        self._settings = settings
        self._tracking_client = _TrackingClient(tracking_uri, settings)

    def outcome(self, seconds: float) -> Outcome:
        """Wait until all has arrived or is refused, or nothing has arrived for ``seconds``."""
        here = self._process
        arrived = here.arrive(seconds)
        waiting = look(here.journal.folder) if here.has_journal and not arrived else None
        return Outcome(arrived, here.sender.trouble, waiting)

    @property
    def trouble(self) -> str | None:
        """Why the server takes nothing now; ``None``: it does, or nothing was sent yet."""
        return self._process.sender.trouble

    @property
    def journals(self) -> Iterator[Path]:
        """The folders of this address's journals."""
        return iter(sorted(self._process.folder.glob("j-*")))

    @property
    def _process(self) -> process.Process:
        return process.of(self.tracking_uri, self._settings)


class _TrackingClient(TrackingServiceClient):
    """MLflow's, with a store and artifact repositories of its own instead of those that MLflow caches."""

    def __init__(self, tracking_uri: str, settings: Settings) -> None:
        self._journal_store = JournalStore(tracking_uri, settings)
        self._repositories: dict[str, ArtifactRepository] = {}
        super().__init__(tracking_uri)

    @property
    def store(self) -> JournalStore:
        """Over the journal."""
        return self._journal_store

    def _get_artifact_repo(self, resource_id: str, *, resource: str = "run") -> Any:
        if resource_id not in self._repositories:
            if resource == "run":
                uri = self.get_run(resource_id).info.artifact_uri
            else:
                uri = self.get_logged_model(resource_id).artifact_location
            found = JournalArtifacts(str(uri), self.tracking_uri, self._journal_store.settings)
            self._repositories[resource_id] = found
        return self._repositories[resource_id]
