"""Files of a run or of a logged model."""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlflow_journal.errors import Unsendable
from mlflow_journal.files import replace_file
from mlflow_journal.identities import ARTIFACTS, PROVISIONAL
from mlflow_journal.operations.base import Operation, Target
from mlflow_journal.payloads import tree_files

#: Where the files of a run or model lie that has no id of the server's yet.
PROVISIONAL_ROOT = re.compile(re.escape(ARTIFACTS) + r"[\w-]+/artifacts")
#: Files that MLflow writes the ids of run and model into.
WITH_IDS = {"MLmodel", "registered_model_meta"}


@dataclass(frozen=True)
class LogArtifact(Operation):
    """A file, or all files of a folder, for an artifact root.

    Attributes:
        artifact_uri: the root; for a run or model that began while the server was away, one that names it.
        owner: the id of the run or model, if it is known.
        folder: below the root; empty: the root itself.
        payload: where the files wait in the journal.
    """

    kind: ClassVar[str] = "artifact"
    superseding: ClassVar[bool] = True
    forced: ClassVar[bool] = True
    artifact_uri: str
    owner: str
    folder: str
    payload: str

    @property
    def subject(self) -> str:
        """The run or model; the root where none is known."""
        return self.owner or self.artifact_uri

    def describe(self) -> str:
        """The file's path."""
        return f"artifact {posixpath.join(self.folder, self.name)}"

    def superseded_by(self, later: Operation) -> Operation | None:
        """By a later file of the same path."""
        same = isinstance(later, LogArtifact) and (later.artifact_uri, later.folder) == (self.artifact_uri, self.folder)
        return None if same and later.name == self.name else self  # type: ignore[attr-defined]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.payload.rpartition("/")[2]

    def send(self, target: Target) -> None:
        """Upload what is not there yet, and look that it has arrived."""
        payload = target.payloads.find(self.payload)
        root = real_root(self.artifact_uri, target)
        folders: dict[str, list[Path]] = {}
        for path in tree_files(payload):
            name_ids(path, target)
            inner = "" if path == payload else path.parent.relative_to(payload).as_posix()
            folder = posixpath.join(self.folder, "" if inner == "." else inner).rstrip("/")
            folders.setdefault(folder, []).append(path)
        for folder, paths in folders.items():
            target.server.upload(root, paths, folder)


def real_root(artifact_uri: str, target: Target) -> str:
    """The artifact root on the server, also of what began while it was away.

    Raises:
        Unsendable: it names nothing.
    """
    if not artifact_uri.startswith(ARTIFACTS):
        return artifact_uri
    owner = artifact_uri.removeprefix(ARTIFACTS).partition("/")[0]
    if not owner:
        raise Unsendable(f"{artifact_uri} names no run and no model")
    if owner.startswith("m-"):
        return str(target.server.store.get_logged_model(owner).artifact_location)
    return str(target.server.store.get_run(owner).info.artifact_uri)


def name_ids(path: Path, target: Target) -> None:
    """Put the server's ids into a file of a model that was written while there were only provisional ones."""
    if path.name in WITH_IDS and path.stat().st_size < 2**20:
        text = path.read_text(errors="surrogateescape")
        if PROVISIONAL.search(text):
            text = target.identities.resolve(text)
            for root in set(PROVISIONAL_ROOT.findall(text)):  # MLmodel names the place of its files, too
                text = text.replace(root, real_root(root, target))
            replace_file(path, text.encode(errors="surrogateescape"), force=True)
