"""MLflow's scoring server behind a door: what it would misread, ignore or answer with a 500 gets a 400 that says why.

``python -m kmnist.scoring FOLDER HOST PORT WORKERS`` is what ``kmnist serve`` runs.
"""

import json
import os
import sys
from collections.abc import Collection
from email.message import Message

import mlflow.pyfunc
import uvicorn
from mlflow.pyfunc import scoring_server
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from kmnist.settings import unknown_name

MODEL = "KMNIST_SERVED_MODEL"  # the folder, for the processes that answer
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
INPUTS = ("inputs", "instances", "dataframe_split", "dataframe_records")
PARAMS = "params"


class BadRequest(Exception):
    """What is wrong with a request, and what it should be."""


class Door:
    """Checks what is sent to ``/invocations`` before ``app`` reads it.

    Args:
        app: MLflow's.
        params: names that a request's ``params`` may hold.
    """

    def __init__(self, app: ASGIApp, params: Collection[str]) -> None:
        self._app, self._params = app, params

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer 400."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", "/invocations"):
            await self._app(scope, receive, send)
            return
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            return
        try:
            kind = media_type(Headers(scope=scope))
            if kind == JSON:
                await run_in_threadpool(check_json, body, self._params)  # others are answered meanwhile
        except BadRequest as error:
            told = {"error_code": "BAD_REQUEST", "message": str(error)}
            await JSONResponse(told, status_code=400)(scope, receive, send)
            return
        MutableHeaders(scope=scope)["content-type"] = kind
        read = False

        async def again() -> Event:
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, _Tidy(scope, receive, send))


class _Tidy:
    """Sends an answer; of an error, the message only: MLflow puts a traceback and the whole request beside it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._status, self._content = 200, b""

    async def __call__(self, event: Event) -> None:
        if event["type"] == "http.response.start" and event["status"] >= 400:
            self._status = event["status"]
            return
        if self._status < 400:
            await self._send(event)
            return
        self._content += event.get("body", b"")
        if not event.get("more_body", False):
            await self._without_traceback()(self._scope, self._receive, self._send)

    def _without_traceback(self) -> Response:
        try:
            told = json.loads(self._content)
            message = str(told["message"])
        except (ValueError, KeyError, TypeError):
            if self._status == 500:  # from the reading of the request: what the model raises is caught
                told = {"error_code": "BAD_REQUEST", "message": "MLflow cannot read this body; see its documentation"}
                return JSONResponse(told, 400)
            return Response(self._content, self._status, media_type="text/plain")
        if message.startswith("Failed to predict data"):
            message = message.rpartition("'. \nError: ")[2]
        return JSONResponse({"error_code": told.get("error_code"), "message": message}, self._status)


def media_type(headers: Headers) -> str:
    """The type of a request's body, without parameters, as MLflow compares it.

    Raises:
        BadRequest: there is none, it is none that is read, or the body is compressed or of another encoding.
    """
    known = f"must be {JSON}, {CSV} or {PARQUET}"
    if not (given := headers.get("content-type", "").strip()):
        raise BadRequest(f"the request has no Content-Type: {known}")
    message = Message()
    message["content-type"] = given
    if (kind := message.get_content_type()) not in (JSON, CSV, PARQUET):  # in lower case: RFC 9110, 8.3.1
        raise BadRequest(f"Content-Type {given[:80]!r}: {known}")
    if (charset := (message.get_content_charset() or "utf-8")) not in ("utf-8", "utf8", "us-ascii"):
        raise BadRequest(f"charset {charset[:80]!r}: must be utf-8")
    if (packed := headers.get("content-encoding", "identity").lower()) != "identity":
        raise BadRequest(f"Content-Encoding {packed[:80]!r}: send the body as it is, not compressed")
    return kind


def check_json(body: bytes, params: Collection[str]) -> None:
    """See that a body has nothing that MLflow would leave out without a word.

    Raises:
        BadRequest: it is no JSON object, has not one input, or has keys or params that there are not.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON ({error})"[:300]) from None
    if not isinstance(content, dict):
        raise BadRequest(f"the body is a JSON {type(content).__name__}: must be an object like {{{INPUTS[0]!r}: ...}}")
    for name in content:
        if name not in (*INPUTS, PARAMS):
            raise BadRequest(unknown_name("key", name, [*INPUTS, PARAMS]))
    if len(given := [name for name in INPUTS if name in content]) != 1:
        raise BadRequest(f"{' and '.join(given) or 'no input'} in the body: must have one of {', '.join(INPUTS)}")
    asked = content.get(PARAMS)
    if not isinstance(asked, dict | None):
        raise BadRequest(f"{PARAMS} is a {type(asked).__name__}: must be an object, with {' or '.join(params)} in it")
    for name in asked or ():
        if name not in params:
            raise BadRequest(unknown_name("param", name, list(params)))


def create_app() -> Door:
    """What a process answers with; the model's folder is in the environment."""
    model = mlflow.pyfunc.load_model(os.environ[MODEL])
    schema = model.metadata.get_params_schema()
    return Door(scoring_server.init(model), [param.name for param in schema.params] if schema else ())


def main(folder: str, host: str, port: str, workers: str) -> None:
    """Answer for the model in a folder until SIGTERM."""
    os.environ[MODEL] = folder
    uvicorn.run("kmnist.scoring:create_app", factory=True, host=host, port=int(port), workers=int(workers))


if __name__ == "__main__":
    main(*sys.argv[1:])
