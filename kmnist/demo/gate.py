"""What is let through to Gradio: the page, its files, and drawings of a bounded size.

Gradio's server can do much that this page never asks for: take files, fetch addresses, describe its interface, keep a
history. Nobody who reaches the demo shall reach that.
"""

from contextlib import suppress

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = {"/", "/theme.css", "/favicon.ico"}
FILES = ("/assets/", "/static/")
DRAWINGS = "/gradio_api/component_server/"
MOST_BYTES = 500_000  # of what is sent; more than the longest drawing that is read


class Gate:
    """An ASGI application before another.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it in a line."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http" or not _is_known(scope["method"], scope["path"]):
            await _refuse(404, "there is no such page")(scope, receive, send)
        elif scope["method"] != "POST":
            await self._app(scope, receive, send)
        elif (body := await _read(receive)) is None:
            await _refuse(413, f"at most {MOST_BYTES:,} bytes can be sent")(scope, receive, send)
        else:
            # Gradio fails on what is malformed: it has answered so, and is not worth a traceback in our log.
            with suppress(Exception):
                await self._app(scope, _again(body, receive), send)


def _is_known(method: str, path: str) -> bool:
    if method == "POST":
        return path == DRAWINGS
    return method in ("GET", "HEAD") and (path in PAGE or path.startswith(FILES))


def _refuse(status: int, why: str) -> PlainTextResponse:
    return PlainTextResponse(f"kmnist demo: {why}\n", status)


async def _read(receive: Receive) -> bytes | None:
    """What is sent; ``None`` if it is too much."""
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` as if ``body`` had not been read yet."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again
