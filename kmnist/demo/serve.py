"""Answers browsers until it is interrupted."""

import socket

import gradio as gr
import uvicorn
from fastapi import FastAPI

from kmnist.demo.gate import Gate
from kmnist.errors import DemoError


def listen(host: str, port: int) -> socket.socket:
    """Take an address, so that browsers can connect to it.

    Args:
        host: a name or an address, of IPv4 or IPv6.
        port: 0 takes one that is free.

    Raises:
        DemoError: it is taken, there is no such address, or it may not be used.
    """
    if not 0 <= port <= 65_535:
        raise DemoError(f"port {port}: must be from 0 to 65535; choose another with --port")
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # Python names the address again
        raise DemoError(f"{host} port {port} cannot be used: {reason}; choose others with --host and --port") from None


def serve(page: gr.Blocks, css: str, taken: socket.socket) -> None:
    """Show ``page`` at an address that :func:`listen` took, until SIGINT or SIGTERM, which are then raised anew."""
    local = gr.themes.Font("sans-serif")  # a mere name would be fetched from a font service
    app = gr.mount_gradio_app(
        FastAPI(),
        page,
        path="/",
        theme=gr.themes.Base(font=local, font_mono=local),
        css=css,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        show_error=False,
    )
    with taken:
        uvicorn.Server(uvicorn.Config(Gate(app), log_level="warning", timeout_graceful_shutdown=1)).run([taken])
