"""Files go to the artifact store, and are looked for there: an answer alone is no proof that they arrived.

A proxy whose login has expired redirects an upload to its page. The client follows, which makes a GET of the PUT, and
the page's status of 200 looks like success: MLflow asks for no more.
"""

import re
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import FileInfo


class NotArrived(Exception):
    """The server said that it took a file, and does not have it."""


def upload_file(client: MlflowClient, run_id: str, file: Path, folder: str) -> None:
    """Make a file an artifact of a run, in ``folder`` (empty: on top).

    Raises:
        NotArrived: the store does not list it, or lists another size.
        Exception: the server refuses or is away, in any of MLflow's and requests' ways.
    """
    client.log_artifact(run_id, str(file), folder or None)
    _confirm([file], client.list_artifacts(run_id, folder or None))


def upload_model(client: MlflowClient, model_id: str, folder: Path) -> None:
    """Make the content of a folder the artifacts of a logged model.

    Raises:
        NotArrived: the store does not list a file of it, or lists another size.
        Exception: the server refuses or is away, in any of MLflow's and requests' ways.
    """
    client.log_model_artifacts(model_id, str(folder))
    _confirm_below(folder, None, lambda path: client.list_logged_model_artifacts(model_id, path))


def _confirm_below(folder: Path, path: str | None, listed: Callable[[str | None], list[FileInfo]]) -> None:
    """See that all files of a folder are listed under ``path``, and those of the folders in it."""
    entries = sorted(folder.iterdir())
    if files := [entry for entry in entries if entry.is_file()]:
        _confirm(files, listed(path))
    for entry in entries:
        if entry.is_dir():
            _confirm_below(entry, f"{path}/{entry.name}" if path else entry.name, listed)


def _confirm(files: list[Path], listed: list[FileInfo]) -> None:
    # Every store of MLflow's tells the sizes of files; a server's answer leaves out that of an empty one.
    sizes = {found.path.rpartition("/")[2]: found.file_size or 0 for found in listed if not found.is_dir}
    for file in files:
        wanted, there = file.stat().st_size, sizes.get(file.name)
        if there != wanted:
            lists = "does not list it" if there is None else f"lists {there:,} bytes of it"
            why = "does a proxy between here and there want a login?"
            if re.search("[#?%]", file.name):
                why = "MLflow's server cuts or changes a name with #, ? or %"
            raise NotArrived(f"the server answered that it took {file.name} ({wanted:,} bytes), but {lists}: {why}")
