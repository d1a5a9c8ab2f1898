"""How much memory and time something takes, measured in a fork of this process."""

import ctypes
import os
import resource
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext

import psutil
import pytest


def peak(function: Callable[[], object], raising: type[Exception] | None = None) -> tuple[float, float]:
    """By how many megabytes the process grew at most while ``function`` ran, and the seconds of CPU it took.

    Args:
        function: what is measured.
        raising: what it must raise.

    Raises:
        AssertionError: it did not, or raised something else; the message has the traceback.
    """
    ours, theirs = os.pipe()
    ctypes.CDLL(None).malloc_trim(0)  # or memory that was freed here would be taken again, and not be counted
    child = os.fork()
    if not child:
        try:
            before, began = psutil.Process().memory_info().rss, time.process_time()
            with pytest.raises(raising) if raising else nullcontext():
                function()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            told = f"{grown / 1e6} {time.process_time() - began}"
        except BaseException:
            told = traceback.format_exc()
        os.write(theirs, told.encode()[:4096])
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    assert not told.startswith("Traceback"), told
    megabytes, seconds = map(float, told.split())
    return megabytes, seconds
