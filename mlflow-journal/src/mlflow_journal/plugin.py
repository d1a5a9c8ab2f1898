"""The doors by which MLflow finds this package. Without ``MLFLOW_JOURNAL_DIR`` each gives what MLflow has itself.

MLflow imports this file whenever it is imported: nothing else of the package is loaded until the journal is on.
"""

import atexit
import sys
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

GROUP = "mlflow.artifact_repository"
BUILT_IN = {
    "http": ("http_artifact_repo", "HttpArtifactRepository"),
    "https": ("http_artifact_repo", "HttpArtifactRepository"),
    "mlflow-artifacts": ("mlflow_artifacts_repo", "MlflowArtifactsRepository"),
    "s3": ("s3_artifact_repo", "S3ArtifactRepository"),
    "gs": ("gcs_artifact_repo", "GCSArtifactRepository"),
    "wasbs": ("azure_blob_artifact_repo", "AzureBlobArtifactRepository"),
    "abfss": ("azure_data_lake_artifact_repo", "AzureDataLakeArtifactRepository"),
}


def tracking_store(store_uri: str, artifact_uri: str | None = None, **_: Any) -> Any:
    """The tracking store of an http(s) address."""
    from mlflow_journal.settings import journal_folder, read

    folder = journal_folder()
    if folder is None:
        from mlflow.store.tracking.rest_store import RestStore
        from mlflow.utils.credentials import get_default_host_creds

        return RestStore(partial(get_default_host_creds, store_uri))
    from mlflow_journal.store import JournalStore

    return JournalStore(store_uri, read(folder))


def registry_store(store_uri: str, tracking_uri: str | None = None, **_: Any) -> Any:
    """The model registry of an http(s) address."""
    from mlflow_journal.settings import journal_folder, read

    folder = journal_folder()
    if folder is None:
        from mlflow.store.model_registry.rest_store import RestStore
        from mlflow.utils.credentials import get_default_host_creds

        return RestStore(partial(get_default_host_creds, store_uri))
    from mlflow_journal.registry import JournalRegistry

    return JournalRegistry(store_uri, read(folder))


def artifacts(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """The artifact repository of a root, for a client of a tracking server with a journal or without."""
    from mlflow_journal.settings import journal_folder, read

    folder = journal_folder()
    if folder is None:
        return _other_artifacts(artifact_uri, tracking_uri, registry_uri)
    from mlflow.tracking._tracking_service.utils import get_tracking_uri

    address = tracking_uri or get_tracking_uri()
    if not address.startswith(("http://", "https://")):
        return _other_artifacts(artifact_uri, tracking_uri, registry_uri)
    from mlflow_journal.artifacts import JournalArtifacts

    return JournalArtifacts(artifact_uri, address, read(folder))


def builtin_artifacts(artifact_uri: str, address: str) -> Any:
    """What MLflow, or another plugin, has for an artifact root: where files are uploaded to at last."""
    from mlflow.utils.uri import get_uri_scheme

    if get_uri_scheme(artifact_uri) in BUILT_IN:
        return _other_artifacts(artifact_uri, address, None)
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(artifact_uri, tracking_uri=address)


def _other_artifacts(artifact_uri: str, tracking_uri: str | None, registry_uri: str | None) -> Any:
    """A repository of a plugin that somebody else installed for this scheme; MLflow's own if there is none."""
    from mlflow.utils.uri import get_uri_scheme

    scheme = get_uri_scheme(artifact_uri)
    others = [found for found in entry_points(group=GROUP, name=scheme) if not found.value.startswith(__name__)]
    if others:
        repository = others[-1].load()
    else:
        module, name = BUILT_IN[scheme]
        repository = getattr(import_module(f"mlflow.store.artifact.{module}"), name)
    return repository(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)


def _finish() -> None:
    process = sys.modules.get("mlflow_journal.process")
    if process is not None:
        process.finish_all()


# Here, because what is registered first runs last: MLflow's own handler, which ends an open run, is registered later.
atexit.register(_finish)
