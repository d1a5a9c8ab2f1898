"""MLflow's own REST store and artifact repositories, without MLflow's retries: one try, and a plain verdict.

MLflow repeats a call for about four minutes before it raises. Here a call either is taken, or is refused (MLflow's
``RestException``), or the server is away (``ServerAway``); who calls decides how long to go on.
"""

import json
import posixpath
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import http_request

from mlflow_journal.errors import ServerAway

#: Answers that say: not now.
AWAY_CODES = frozenset({401, 403, 407, 408, 425, 429})
CONNECT_SECONDS, READ_SECONDS, SEND_SECONDS = 3.0, 10.0, 60.0
MOST_RETRY_AFTER_SECONDS = 3600

#: For how long a call may take, and whether it is repeated within that time.
_patience: ContextVar[tuple[float, bool]] = ContextVar("patience", default=(READ_SECONDS, True))


@contextmanager
def patience(seconds: float, *, repeat: bool) -> Iterator[None]:
    """Give the calls of this block so many seconds each; ``repeat``: again and again while the server is away."""
    token = _patience.set((seconds, repeat))
    try:
        yield
    finally:
        _patience.reset(token)


def call(get_host_creds: Callable[[], Any], endpoint: str, method: str, body: Any) -> dict[str, Any]:
    """One request to MLflow's API; gives the JSON of its answer.

    Raises:
        ServerAway: no answer, or none of an MLflow server.
        RestException: it refuses.
    """
    seconds, repeat = _patience.get()
    until = time.monotonic() + seconds
    pause = 0.1
    while True:
        try:
            return _try(get_host_creds(), endpoint, method, body, max(0.5, until - time.monotonic()))
        except ServerAway as error:
            pause = max(pause, error.retry_after)
            if not repeat or time.monotonic() + pause >= until:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _try(creds: Any, endpoint: str, method: str, body: Any, seconds: float) -> dict[str, Any]:
    payload = {"params": body} if method == "GET" else {"json": body}
    try:
        answer = http_request(
            creds,
            endpoint,
            method,
            max_retries=0,
            raise_on_status=False,
            timeout=(min(CONNECT_SECONDS, seconds), seconds),
            **payload,
        )
    except MlflowException as error:
        raise ServerAway(f"{_host(creds)} does not answer: {_in_one_line(error)}") from error
    _refuse_redirect(answer, method)
    content = _json(answer)
    if answer.status_code in AWAY_CODES or answer.status_code >= 500:
        raise ServerAway(f"{_host(creds)} answers {answer.status_code}: {answer.text[:200]}", _retry_after(answer))
    if content is None:
        raise ServerAway(
            f"{_host(creds)} answers {answer.status_code}, but not as an MLflow server: {answer.text[:80]}"
        )
    if answer.status_code != 200:
        raise RestException(content)
    return content


class DirectStore(RestStore):  # type: ignore[misc]  # MLflow has no types
    """MLflow's REST store, whose calls raise ``ServerAway`` instead of blocking."""

    def _call_endpoint(
        self,
        api: Any,
        json_body: Any = None,
        endpoint: str | None = None,
        retry_timeout_seconds: Any = None,
        response_proto: Any = None,
    ) -> Any:
        v3 = getattr(self, "_V3_APIS", ())
        named, method = (self._V3_METHOD_TO_INFO if api in v3 else self._METHOD_TO_INFO)[api]
        validate = getattr(self, "_validate_workspace_support_if_specified", None)
        if validate:
            validate()
        body = json.loads(json_body) if json_body is not None else None
        content = self._call(endpoint or named, method, body)
        response = api.Response() if response_proto is None else response_proto
        parse_dict(js_dict=content, message=response)
        return response

    def _call(self, endpoint: str, method: str, body: Any) -> dict[str, Any]:
        return call(self.get_host_creds, endpoint, method, body)


class Server:
    """What operations are sent to: one address, credentials read anew for each request.

    Args:
        address: http or https, of the server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.store = DirectStore(partial(get_default_host_creds, address))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send plain JSON to MLflow's API 2.0, without the detour by way of protobuf."""
        return call(self.store.get_host_creds, f"/api/2.0/mlflow/{path}", "POST", body)

    def upload(self, artifact_uri: str, files: Iterable[Path], folder: str) -> None:
        """Upload files into one ``folder`` of an artifact root, and look that each is there in its whole size.

        Raises:
            ServerAway: one is not there.
        """
        repository = builtin_repository(artifact_uri, self.address)
        sizes: dict[str, int] = {}
        for local in files:
            _put(repository, local, folder)
            sizes[local.name] = local.stat().st_size
        there = _sizes(repository, folder)
        for name, size in sizes.items():
            if name not in there or (there[name] is not None and there[name] != size):
                found = f"{there[name]} bytes are" if name in there else "nothing is"
                raise ServerAway(f"{posixpath.join(folder, name)} was uploaded with {size} bytes, but {found} there")


def builtin_repository(artifact_uri: str, address: str) -> ArtifactRepository:
    """The repository that MLflow, or another plugin, has for an artifact root."""
    from mlflow_journal.plugin import builtin_artifacts

    return builtin_artifacts(artifact_uri, address)


def _sizes(repository: ArtifactRepository, folder: str) -> dict[str, int | None]:
    """What lies in a folder of an artifact root, with its sizes in bytes where they are known."""
    endpoint = "/mlflow-artifacts/artifacts"
    if not isinstance(repository, HttpArtifactRepository) or endpoint not in repository.artifact_uri:
        return {posixpath.basename(file.path): file.file_size for file in repository.list_artifacts(folder or None)}
    url, _, root = repository.artifact_uri.partition(endpoint)
    path = posixpath.join(root.strip("/"), folder) if folder else root.strip("/")
    found = call(partial(get_default_host_creds, url), endpoint, "GET", {"path": path}).get("files", [])
    return {posixpath.basename(file["path"]): int(file["file_size"]) for file in found if "file_size" in file}


def _put(repository: ArtifactRepository, local: Path, folder: str) -> None:
    by_parts = getattr(repository, "_should_multipart_upload", None)
    if not isinstance(repository, HttpArtifactRepository) or (by_parts and by_parts(str(local))):
        repository.log_artifact(str(local), folder or None)
        return
    creds = get_default_host_creds(repository.artifact_uri)
    endpoint = posixpath.join("/", folder, local.name)
    try:
        with local.open("rb") as content:
            data = content if local.stat().st_size else b""  # an empty file would be sent without a length
            answer = http_request(
                creds,
                endpoint,
                "PUT",
                max_retries=0,
                raise_on_status=False,
                timeout=(CONNECT_SECONDS, SEND_SECONDS),
                data=data,
                extra_headers={"Content-Type": "application/octet-stream"},
            )
    except MlflowException as error:
        raise ServerAway(f"{_host(creds)} takes no file: {_in_one_line(error)}") from error
    _refuse_redirect(answer, "PUT")
    if answer.status_code in AWAY_CODES or answer.status_code >= 500:
        raise ServerAway(f"{_host(creds)} answers {answer.status_code}: {answer.text[:200]}", _retry_after(answer))
    if answer.status_code >= 300:
        raise RestException(_json(answer) or {"error_code": "INTERNAL_ERROR", "message": answer.text[:200]})


def _refuse_redirect(answer: Any, method: str) -> None:
    """A redirect that turns a write into a read, to a login page for example, is no success."""
    lost = [step.status_code for step in answer.history if step.status_code in (301, 302, 303)]
    if lost and method != "GET":
        raise ServerAway(
            f"the request was redirected ({lost[0]}) to {answer.url.partition('?')[0]}, which does not take it"
        )


def _json(answer: Any) -> dict[str, Any] | None:
    text = answer.text.strip()
    if answer.status_code == 200 and not text:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _retry_after(answer: Any) -> float:
    """The seconds of the header ``Retry-After`` (RFC 9110, 10.2.3); 0 without one."""
    named = answer.headers.get("Retry-After", "").strip()
    return min(float(named), MOST_RETRY_AFTER_SECONDS) if named.isdigit() and len(named) < 10 else 0.0


def _host(creds: Any) -> str:
    return redact(str(creds.host))


def redact(address: str) -> str:
    """An address without user and password."""
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _in_one_line(error: BaseException) -> str:
    """What it came from: MLflow, requests and urllib3 wrap each other's errors in many words."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return redact(" ".join(str(error).split()))[:200] or type(error).__name__
