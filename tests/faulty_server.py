"""A proxy before a tracking server that lets chosen requests fail in chosen ways, as networks and other proxies do."""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

import aiohttp
from aiohttp import hdrs, web

from tests.servers import free_port

#: What can happen to a request: it never reaches the server, half of it does, or it is late; its answer is lost or cut,
#: though the server did what was asked; or somebody answers in the server's place, with an HTTP status; or a session
#: has ended, and a proxy leads to its page to log in.
Kind = Literal["drop request", "cut request", "delay", "drop answer", "cut answer", "login"] | int
LOGIN = "/oauth2/sign_in"
PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>...</form></body></html>"
HOP_BY_HOP = (hdrs.CONNECTION, hdrs.KEEP_ALIVE, hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING, hdrs.CONTENT_LENGTH)
MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Fault:
    """What happens to which requests.

    Attributes:
        requests: regular expression that is searched in ``METHOD /path?query``.
        kind: what happens to them.
        first: the first of them that it happens to, counted from 1.
        last: the last one.
        seconds: of the delay, and of the header Retry-After.
    """

    requests: str
    kind: Kind
    first: int = 1
    last: int = 1_000_000
    seconds: int | None = None


class FaultyServer:
    """Stands on a port of its own before the server at ``upstream``, in a thread, for as long as a ``with`` block.

    Attributes:
        url: to be used in place of the server's own.
        requests: how often each ``METHOD /path?query`` came, failed or not.
        failed: how often each fault happened.
    """

    def __init__(self, upstream: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.requests: Counter[str] = Counter()
        self.failed: Counter[Fault] = Counter()
        self._upstream, self._port = upstream, port
        self._faults: dict[Fault, int] = {}  # with the number of requests that they matched
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="faulty-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(30)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def inject(self, *faults: Fault) -> None:
        """Let these faults happen from now on, besides those that do already."""
        self._faults = {**self._faults, **dict.fromkeys(faults, 0)}

    def heal(self) -> None:
        """Let no fault happen any more, and count anew."""
        self._faults = {}
        self.requests.clear()
        self.failed.clear()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        # A connection for each request: one that waited may be closed by the server, which would be a fault of ours.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._up.set()
            await self._over.wait()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path_qs}"
        body = await request.read()  # whole, or the client would see the connection close while it still sends
        self.requests[name] += 1
        if request.path == LOGIN:
            return web.Response(text=PAGE, content_type="text/html")
        fault = self._draw(name)
        match fault.kind if fault else None:
            case "login":
                return web.Response(status=302, headers={hdrs.LOCATION: LOGIN})
            case "drop request":
                return _hang_up(request)
            case "cut request":
                with suppress(aiohttp.ClientError, ConnectionError):
                    await self._forward(request, _half(body), len(body))
                return _hang_up(request)
            case "delay":
                await asyncio.sleep(fault.seconds or 1 if fault else 0)
            case int(status):
                after = {} if fault is None or fault.seconds is None else {hdrs.RETRY_AFTER: str(fault.seconds)}
                return web.Response(status=status, text=f"{status}, says the proxy", headers=after)
        try:
            status, headers, content = await self._forward(request, body, len(body))
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"502, says the proxy: {error}")
        if fault and fault.kind == "drop answer":
            return _hang_up(request)
        if fault and fault.kind == "cut answer":
            answer = web.StreamResponse(status=status, headers={**headers, hdrs.CONTENT_LENGTH: str(len(content) + 1)})
            await answer.prepare(request)
            await answer.write(content[: len(content) // 2])
            return _hang_up(request, answer)
        return web.Response(status=status, headers=headers, body=content)

    def _draw(self, name: str) -> Fault | None:
        drawn = None
        for fault in self._faults:
            if re.search(fault.requests, name):
                self._faults[fault] += 1
                if drawn is None and fault.first <= self._faults[fault] <= fault.last:
                    drawn = fault
                    self.failed[fault] += 1
        return drawn

    async def _forward(
        self, request: web.Request, body: bytes | AsyncIterator[bytes], length: int
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {name: text for name, text in request.headers.items() if name not in HOP_BY_HOP}
        headers[hdrs.CONTENT_LENGTH] = str(length)
        async with self._session.request(
            request.method, f"{self._upstream}{request.raw_path}", data=body, headers=headers, allow_redirects=False
        ) as answer:
            kept = {name: text for name, text in answer.headers.items() if name not in HOP_BY_HOP}
            return answer.status, kept, await answer.read()


async def _half(body: bytes) -> AsyncIterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError


def _hang_up(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection; what aiohttp would answer afterwards reaches nobody."""
    if request.transport is not None:
        request.transport.close()
    return answer or web.Response()
