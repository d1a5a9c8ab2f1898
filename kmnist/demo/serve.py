"""Answers browsers until it is interrupted."""

import logging
import socket
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette

MOST_CONNECTIONS = 100  # each may hold a picture in memory
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # of another model at the same address, tomorrow
}


def host_names(host: str, taken: socket.socket) -> list[str]:
    """By which names a page at an address that :func:`listen` took may be asked for.

    At one that only this computer reaches, by those that lead nowhere else: a page of a stranger's could otherwise let
    its own name lead here, and read along (DNS rebinding). Others are reached by whoever likes, by whatever name.
    """
    if not ip_address(taken.getsockname()[0]).is_loopback:
        return ["*"]
    return ["localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host]


def serve(app: Starlette, taken: socket.socket) -> None:
    """Show ``app`` at an address that :func:`listen` took, until SIGINT or SIGTERM, which are then raised anew."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            headers=list(HEADERS.items()),
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            log_level="warning",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
    logging.getLogger("uvicorn.error").addFilter(lambda record: not server.should_exit)  # to be cut off is no error
    with taken:
        server.run([taken])
    raise KeyboardInterrupt  # nothing else ends it, and now and then asyncio keeps the one that was raised
