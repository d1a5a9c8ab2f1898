"""Standard output and error that hold up no end, though whoever reads them takes nothing more.

A terminal takes nothing after Ctrl-S or when its connection is dead, and a pipe when its reader is stopped. A process
that writes there is blocked in the system, and with it all that needs a lock of the screen. So we write to a
description of our own that never blocks, and wait for room ourselves: as long as need be, but a moment only once the
command is to end. What a terminal that is gone was to show is dropped.
"""

import errno
import io
import os
import select
import stat
import sys
import time
from typing import Any, TextIO

PATIENCE_SECONDS = 1.0  # of a command that is to end, in all

_end_began: float | None = None


def begin() -> None:
    """Guard the standard streams of this process, where they are a terminal or a pipe."""
    global _end_began
    _end_began = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, Output) and (guarded := _guarded(stream)) is not None:
            setattr(sys, name, guarded)


def end() -> None:
    """From now on, wait no more than a moment for whoever reads."""
    global _end_began
    if _end_began is None:
        _end_began = time.monotonic()


def is_ending() -> bool:
    """Whether the command was told to end."""
    return _end_began is not None


class Output(io.TextIOBase):
    """A standard stream, without a buffer: no lock is held while it waits.

    Args:
        stream: that it takes the place of.
        descriptor: of the same terminal or pipe, which does not block.
    """

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        self._stream, self._descriptor = stream, descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._terminal = stream.isatty()

    def write(self, text: str) -> int:
        """Write all of it, or drop what nobody takes while the command ends.

        Raises:
            BrokenPipeError: the reader of a pipe has gone.
        """
        rest = memoryview(text.encode(self.encoding, self.errors or "strict"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                if _end_began is not None and time.monotonic() - _end_began > PATIENCE_SECONDS:
                    break
                self._room.poll(100)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                break  # the terminal is gone
        return len(text)

    def takes(self) -> bool:
        """Whether there is room: what is shown for a moment only need not wait."""
        return bool(self._room.poll(0))

    def isatty(self) -> bool:
        """Whether it is a terminal, or was one."""
        return self._terminal

    def fileno(self) -> int:
        """The stream's own descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """What is done with a character that the encoding has not."""
        return self._stream.errors

    @property
    def buffer(self) -> Any:
        """The stream's, for bytes: it blocks."""
        return self._stream.buffer


def _guarded(stream: Any) -> Output | None:
    """``None``: it is closed, a file, or nothing of the system's."""
    try:
        descriptor = stream.fileno()
        if stream.isatty():
            path = os.ttyname(descriptor)
        elif stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            path = f"/proc/self/fd/{descriptor}"
        else:
            return None
        stream.flush()
        return Output(stream, os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    except (AttributeError, OSError, ValueError):
        return None
