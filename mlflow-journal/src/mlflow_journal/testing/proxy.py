"""A proxy before a tracking server that lets chosen requests fail in chosen ways, as networks and other proxies do."""

import http.client
import re
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self
from urllib.parse import urlsplit

Kind = Literal["drop request", "cut request", "delay", "drop answer", "cut answer", "login page", "redirect"] | int
#: Every kind of fault. An integer is the status that the proxy answers in the server's place.
KINDS: tuple[Kind, ...] = (
    *("drop request", "cut request", "delay", "drop answer", "cut answer", "login page", "redirect"),
    *(400, 401, 403, 413, 429, 500, 502, 503),
)
#: Kinds after which the server has done what was asked, though the client cannot know.
DONE_BUT_NOT_ANSWERED: tuple[Kind, ...] = ("drop answer", "cut answer")
LOGIN_PAGE = b"<!doctype html><title>Sign in</title><form method=post>Your session has ended.</form>"
LOGIN_PATH = "/sign-in"
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass(frozen=True)
class Fault:
    """What happens to which requests.

    Attributes:
        requests: Regular expression that is searched in ``METHOD /path?query``.
        kind: What happens to them. ``drop request``: the connection closes and the server sees nothing.
            ``cut request``: the server sees half of it. ``delay``: it is late. ``drop answer``: the server does what
            was asked, and the connection closes without an answer. ``cut answer``: half of the answer arrives.
            ``login page``: a page of HTML with status 200. ``redirect``: to such a page, with status 302.
            An integer: that HTTP status.
        first: The first matching request that it happens to, counted from 1.
        last: The last one.
        every: 3 means every third of the requests from ``first`` to ``last``.
        seconds: Length of the delay (default 1), or the value of the header ``Retry-After``.
    """

    requests: str
    kind: Kind
    first: int = 1
    last: int = 1_000_000
    every: int = 1
    seconds: int | None = None

    def hits(self, number: int) -> bool:
        """Whether it happens to the matching request of that number, counted from 1."""
        return self.first <= number <= self.last and (number - self.first) % self.every == 0


class FaultProxy:
    """Listens on a free port of 127.0.0.1 before the server at ``upstream``, for as long as a ``with`` block lasts.

    Example:
        >>> with FaultProxy("http://127.0.0.1:5000") as proxy:  # doctest: +SKIP
        ...     proxy.inject(Fault("POST .*/runs/create", "drop answer", last=1))
        ...     mlflow.set_tracking_uri(proxy.url)

    Attributes:
        url: The address to use in place of the server's own.
        requests: How often each ``METHOD /path`` came, failed or not.
        failed: How often each fault happened.
    """

    def __init__(self, upstream: str) -> None:
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "127.0.0.1", address.port or 80)
        self.requests: Counter[str] = Counter()
        self.failed: Counter[Fault] = Counter()
        self._matched: dict[Fault, int] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="fault-proxy", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def inject(self, *faults: Fault) -> None:
        """Let these faults happen from now on, besides those that already do. The first that matches wins."""
        with self._lock:
            self._matched = {**self._matched, **dict.fromkeys(faults, 0)}

    def heal(self) -> None:
        """Let every request pass from now on, and count anew."""
        with self._lock:
            self._matched = {}
            self.requests.clear()
            self.failed.clear()

    def _draw(self, method: str, path: str) -> Fault | None:
        drawn = None
        with self._lock:
            self.requests[f"{method} {path.partition('?')[0]}"] += 1
            for fault in self._matched:
                if re.search(fault.requests, f"{method} {path}"):
                    self._matched[fault] += 1
                    if drawn is None and fault.hits(self._matched[fault]):
                        drawn = fault
                        self.failed[fault] += 1
        return drawn


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed leaves its connection: nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultProxy

    def forward(self) -> None:
        body = self._read_body()  # whole, or the client would see the connection close while it still sends
        if self.path.startswith(LOGIN_PATH):
            self._reply(200, {"Content-Type": "text/html"}, LOGIN_PAGE)
            return
        fault = self.proxy._draw(self.command, self.path)
        match fault.kind if fault else None:
            case "drop request":
                self._hang_up()
                return
            case "cut request":
                with suppress(OSError, http.client.HTTPException):
                    self._send_half(body)
                self._hang_up()
                return
            case "login page":
                self._reply(200, {"Content-Type": "text/html"}, LOGIN_PAGE)
                return
            case "redirect":
                self._reply(302, {"Location": f"{self.proxy.url}{LOGIN_PATH}"}, b"")
                return
            case "delay":
                time.sleep(1 if fault is None or fault.seconds is None else fault.seconds)
            case int(status):
                after = {} if fault is None or fault.seconds is None else {"Retry-After": str(fault.seconds)}
                self._reply(status, {"Content-Type": "text/plain", **after}, f"{status}, by the proxy".encode())
                return
        try:
            status, headers, content = self._ask_server(body)
        except (OSError, http.client.HTTPException) as error:
            self._reply(502, {"Content-Type": "text/plain"}, f"502, by the proxy: {error}".encode())
            return
        if fault and fault.kind == "drop answer":
            self._hang_up()
        elif fault and fault.kind == "cut answer":
            self._reply(status, headers, content[: len(content) // 2], length=len(content) + 1)
            self._hang_up()
        else:
            self._reply(status, headers, content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _connect(self, body: bytes) -> http.client.HTTPConnection:
        """A connection of its own for each request: one that waits may be closed by the server."""
        server = http.client.HTTPConnection(*self.proxy._upstream)
        server.putrequest(self.command, self.path, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"expect"}:
                server.putheader(name, value)
        server.putheader("Content-Length", str(len(body)))
        server.putheader("Connection", "close")
        server.endheaders()
        return server

    def _ask_server(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        server = self._connect(body)
        try:
            server.send(body)
            answer = server.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return answer.status, kept, answer.read()
        finally:
            server.close()

    def _send_half(self, body: bytes) -> None:
        server = self._connect(body)
        server.send(body[: len(body) // 2])
        server.close()

    def _reply(self, status: int, headers: dict[str, str], content: bytes, length: int | None = None) -> None:
        self.send_response_only(status, HTTPStatus(status).phrase)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on the screen."""
