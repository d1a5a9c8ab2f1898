"""The commands. The only room that prints; it wires the others together and imports them late, so that help is fast.

To add a command: a file here with a function, and a line in ``main.py``.
"""

from kmnist.cli.main import app, main

__all__ = ["app", "main"]
