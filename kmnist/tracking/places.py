"""Whether a run's artifacts can be written from here, and will lie where its server looks for them.

An experiment keeps the location of its artifacts for good. One that a server made may not be writable without that
server; one that was made beside a database names a folder of that machine, and any other machine that takes the name
literally fills a folder of its own which nobody looks into. So this is asked where a run is made, before it is trained.
"""

import os
import shutil
import uuid
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import requests
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from kmnist.addresses import local_folder, redact
from kmnist.errors import TrackingError, root_reason

#: Schemes of artifact locations whose packages MLflow leaves to the user: module, and how to get it.
PACKAGES = {
    "s3": ("boto3", "boto3"),
    "gs": ("google.cloud.storage", "google-cloud-storage"),
    "wasbs": ("azure.storage.blob", "azure-storage-blob azure-identity"),
    "abfss": ("azure.storage.filedatalake", "azure-storage-file-datalake azure-identity"),
    "hdfs": ("pyarrow", "pyarrow"),
    "viewfs": ("pyarrow", "pyarrow"),
}
ANOTHER = "name another experiment with --experiment-name: a new one gets a location of its own"
SECONDS = 10  # that a server of artifacts has to answer
LIST = "/api/2.0/mlflow/artifacts/list"


class ArtifactsElsewhere(TrackingError):
    """Artifacts cannot be written from here, or would lie where nobody looks for them. Waiting does not help."""


def check_location(tracking_uri: str, location: str) -> None:
    """See that artifacts can be written to a location from here, as far as can be said without writing any.

    Args:
        tracking_uri: of the server or database that names the location.
        location: of the artifacts of an experiment or a run.

    Raises:
        ArtifactsElsewhere: they cannot be.
    """
    what = f"artifacts of this experiment lie at {redact(location)}"
    scheme = urlsplit(location).scheme
    if scheme == "mlflow-artifacts" and not tracking_uri.startswith("http"):
        raise ArtifactsElsewhere(
            f"{what}, which only the MLflow server that made it can write, and {redact(tracking_uri)} is its database. "
            f"Track through that server (--tracking-uri http://HOST:PORT), or {ANOTHER}"
        )
    module, package = PACKAGES.get(scheme, ("", ""))
    if module and not _is_installed(module):
        raise ArtifactsElsewhere(f"{what}, and to write there needs a package: pip install {package}")
    if (server := _other_server(tracking_uri, location)) and (reason := _unreachable(server)):
        raise ArtifactsElsewhere(
            f"{what}, and {server} cannot be reached from here ({reason}): it may be a name that only the tracking "
            f"server knows. Have it started with an address of its artifacts that is good everywhere, or {ANOTHER}"
        )
    if (folder := local_folder(location)) and (reason := _not_writable(folder)):
        raise ArtifactsElsewhere(f"{what}, which cannot be written from here ({reason}). {_way_out(tracking_uri)}")


def check_place(client: MlflowClient, run: Run) -> None:
    """See that the artifacts of a run can be written from here, and that its server will find them.

    A server can name a folder of its own disk. Only the server knows whether it is the same as ours of that name, so
    a folder is made there, and the server asked to list it.

    Raises:
        ArtifactsElsewhere: they cannot be written, or the server does not see them.
        MlflowException: the server does not answer.
    """
    uri, location = client.tracking_uri, run.info.artifact_uri
    check_location(uri, location)
    folder = local_folder(location)
    if folder is None:
        return
    if not uri.startswith("http"):
        _check_not_left_behind(client, run, folder.parent.parent)
    elif not _is_seen(uri, run.info.run_id, folder):
        raise ArtifactsElsewhere(
            f"artifacts of this experiment lie at {redact(location)}, which the server {redact(uri)} means as a folder "
            f"of its own disk: what is written there from here, it does not see. {_way_out(uri)}"
        )


def _check_not_left_behind(client: MlflowClient, run: Run, folder: Path) -> None:
    """See that the folder of an experiment's artifacts is here, if models were logged to it.

    Beside a database that was moved, or that several machines use, it may be elsewhere; written to, it would be made.
    """
    if folder.exists():
        return
    models = client.search_logged_models([run.info.experiment_id])
    if any(model.status == LoggedModelStatus.READY for model in models):
        raise ArtifactsElsewhere(
            f"the artifacts of this experiment lie in {folder}, which is not on this machine: the database "
            f"{redact(client.tracking_uri)} was moved, or another machine made the experiment. {_way_out('')}; or, if "
            f"new artifacts are to lie there: mkdir -p '{folder}'"
        )


def _way_out(tracking_uri: str) -> str:
    if tracking_uri.startswith("http"):
        return (
            f"If the server takes artifacts (mlflow server does, unless --no-serve-artifacts or a folder as "
            f"--default-artifact-root is given), {ANOTHER}"
        )
    return ANOTHER[0].upper() + ANOTHER[1:]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package above it is not there
        return False


def _other_server(tracking_uri: str, location: str) -> str | None:
    """The address of a server that takes artifacts only, where they lie at one beside that of the tracking."""
    parts, scheme = urlsplit(location), urlsplit(tracking_uri).scheme
    if parts.scheme not in ("http", "https", "mlflow-artifacts") or not parts.hostname:
        return None
    host = parts.netloc.rpartition("@")[2]
    same = host == urlsplit(tracking_uri).netloc.rpartition("@")[2]
    return None if same else f"{parts.scheme if parts.scheme != 'mlflow-artifacts' else scheme}://{host}"


def _unreachable(server: str) -> str | None:
    """Why nobody answers at an address; ``None``: somebody does, whatever it is."""
    try:
        requests.head(server, timeout=SECONDS)
    except requests.exceptions.SSLError:  # MLflow may know its certificate
        return None
    except requests.RequestException as error:
        return redact(root_reason(error))[:200]
    return None


def _not_writable(folder: Path) -> str | None:
    """Why a folder cannot be made, or be written to; ``None``: it can."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        return f"{there} is not a folder"
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} is not writable"


def _is_seen(uri: str, run_id: str, folder: Path) -> bool:
    """Whether a server finds what is written to the folder of a run's artifacts."""
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    name = f"is-seen-{uuid.uuid4().hex}"
    try:
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
        answer = http_request(
            get_default_host_creds(uri), LIST, "GET", params={"run_id": run_id, "path": name}, max_retries=0
        )
        return bool(verify_rest_response(answer, LIST).json().get("files"))
    except OSError:
        return False
    finally:
        shutil.rmtree(folder / name, ignore_errors=True)
        for path in made:  # those that were not there before
            with suppress(OSError):
                path.rmdir()
