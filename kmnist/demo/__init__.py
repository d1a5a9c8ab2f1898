"""A page on which a person draws a kana, or gives a photograph of one, and sees what a network makes of it.

The only room that knows Starlette and uvicorn. ``app`` is the page and what answers it, ``font`` shows its characters,
``serve`` answers browsers until it is interrupted.
"""

from kmnist.demo.app import build_app
from kmnist.demo.serve import host_names, serve

__all__ = ["build_app", "host_names", "serve"]
