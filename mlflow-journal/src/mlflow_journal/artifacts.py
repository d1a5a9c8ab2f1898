"""MLflow's artifact repository over the journal: files are copied into it at once, and uploaded later."""

import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.artifact_repo import ArtifactRepository, verify_artifact_path

from mlflow_journal import process
from mlflow_journal.errors import JournalError, ServerAway, Unresolved, Unsendable
from mlflow_journal.journal import read_unsent
from mlflow_journal.operations import LogArtifact, Target, operation
from mlflow_journal.operations.artifact import real_root
from mlflow_journal.payloads import tree_files
from mlflow_journal.server import CONNECT_SECONDS, builtin_repository
from mlflow_journal.settings import Settings

T = TypeVar("T")
FLUSH_SECONDS = 30.0  # that a read waits for uploads, while they go on


class JournalArtifacts(ArtifactRepository):  # type: ignore[misc]  # MLflow has no types
    """One artifact root of one address.

    Args:
        artifact_uri: the root.
        address: http or https, of the tracking server.
        settings: of the journal.
    """

    def __init__(self, artifact_uri: str, address: str, settings: Settings) -> None:
        super().__init__(artifact_uri, address)
        self._address, self._settings = address, settings

    @property
    def process(self) -> process.Process:
        """The journal and sender of this process."""
        return process.of(self._address, self._settings)

    def log_artifact(self, local_file: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Journal a file."""
        verify_artifact_path(artifact_path)
        self.process.write_artifact(self.artifact_uri, Path(local_file), artifact_path or "")

    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Journal all files of a folder."""
        verify_artifact_path(artifact_path)
        self.process.write_artifact(self.artifact_uri, Path(local_dir), artifact_path or "")

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What lies in a folder; where the server is away, what this process knows of it.

        Raises:
            ServerAway: the server is away, and the folder may hold what this process does not know.
        """
        kept, folder = self.process.kept, path or ""
        try:
            found = self._read(lambda sent: list(sent.list_artifacts(path)))
        except (ServerAway, Unresolved):
            known = kept.listing(self.artifact_uri, folder)
            if known is None:
                raise
            both = {info.path: info for info in [*known, *_listing(self._pending(), folder)]}
            found = [both[name] for name in sorted(both)]
        kept.listed(self.artifact_uri, folder, found)
        return found

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """A file or folder as a local copy; where the server is away, of what is pending or kept."""
        try:
            return self._read(lambda sent: str(sent.download_artifacts(artifact_path, dst_path)))
        except (ServerAway, Unresolved):
            inside = {
                path: source
                for path, source in self._pending().items()
                if not artifact_path or path == artifact_path or path.startswith(f"{artifact_path.rstrip('/')}/")
            }
            if not inside and (copy := self.process.kept.copy(self.artifact_uri, artifact_path)):
                inside = {artifact_path: copy}
            if not inside:
                raise
            target = Path(dst_path or tempfile.mkdtemp())
            for path, source in inside.items():
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / path)
            return str(target / artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._sent()._download_file(remote_file_path, local_path)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Delete on the server, after what is pending has arrived."""
        self._sent().delete_artifacts(artifact_path)

    def _read(self, question: Callable[[ArtifactRepository], T]) -> T:
        """Ask MLflow's own repository; where a connection breaks in the middle, once more.

        Raises:
            ServerAway, Unresolved: it cannot answer now.
            RestException: it refuses.
        """
        for tries_left in (1, 0):
            try:
                return question(self._sent())
            except (JournalError, RestException):
                raise
            except (MlflowException, OSError) as error:  # OSError: as requests have it
                if not tries_left:
                    raise ServerAway(f"the artifacts cannot be read: {error}") from error
        raise AssertionError("unreachable")

    def _sent(self) -> ArtifactRepository:
        """MLflow's own repository, once it has what is pending.

        Raises:
            ServerAway, Unresolved: it cannot have it now.
        """
        here = self.process
        owner = here.mirror.owner(self.artifact_uri)
        if not here.flush(owner or self.artifact_uri, self.artifact_uri, seconds=FLUSH_SECONDS):
            raise ServerAway(here.sender.trouble or "the artifacts are being sent")
        if self.artifact_uri.startswith("mlflow-artifacts:/journal/"):
            uri = here.identities.resolve(self.artifact_uri)
            root = here.ask(
                lambda: real_root(uri, Target(here.server, here.identities, None)),  # type: ignore[arg-type]
                CONNECT_SECONDS,
                repeat=True,  # a connection that broke once is no outage
            )
        else:
            root = self.artifact_uri
            here.ask(lambda: here.server.store.search_experiments(max_results=1), CONNECT_SECONDS, repeat=True)
        return builtin_repository(root, self._address)

    def _pending(self) -> dict[str, Path]:
        """Paths below the root, and where the files are; the last of each path."""
        found: dict[str, Path] = {}
        if not self.process.has_journal:
            return found
        journal = self.process.journal
        for entry in read_unsent(journal.folder):
            made = operation(entry.record)
            if not isinstance(made, LogArtifact) or made.artifact_uri != self.artifact_uri:
                continue
            try:
                payload = journal.payloads.find(made.payload)
            except Unsendable:
                continue
            for path in tree_files(payload):
                inner = path.name if path == payload else path.relative_to(payload).as_posix()
                found[posixpath.join(made.folder, inner)] = path
        return found


def _listing(pending: dict[str, Path], folder: str) -> list[FileInfo]:
    found: dict[str, FileInfo] = {}
    for path, source in pending.items():
        inner = path.removeprefix(f"{folder.rstrip('/')}/") if folder else path
        if folder and inner == path:
            continue
        first, _, rest = inner.partition("/")
        full = posixpath.join(folder, first)
        found[full] = FileInfo(full, bool(rest), None if rest else source.stat().st_size)
    return [found[path] for path in sorted(found)]


def _passed(name: str) -> Any:
    def method(self: JournalArtifacts, *arguments: Any, **named: Any) -> Any:
        return getattr(self._sent(), name)(*arguments, **named)

    method.__name__ = name
    method.__doc__ = "Passed on to MLflow's own repository."
    return method


def _names() -> Iterator[str]:
    """What is about traces, and what only servers use."""
    for name in vars(ArtifactRepository):
        if "trace" in name or "attachment" in name or "multipart" in name or "presigned" in name:
            yield name


for _name in _names():
    setattr(JournalArtifacts, _name, _passed(_name))
