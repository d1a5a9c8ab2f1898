"""The server that workers of this machine are forked from. Imports nothing that takes time: it is begun before that.

It has done nothing but import: a copy of the command's process would have its threads and locks in mid-work, and a
fresh interpreter would take seconds for imports, at every start and after every death.
"""

import os
import signal
from multiprocessing import get_context
from multiprocessing.forkserver import ensure_running

CONTEXT = get_context("forkserver")
IMPORTED = [
    "kmnist.__main__",
    "kmnist.jobs.worker",
    "kmnist.tracking",
    "sklearn.model_selection",
    "torch._dynamo",
]
DATABASE = ["mlflow.store.tracking.sqlalchemy_store", "sqlalchemy.dialects.sqlite"]  # to track without a server


def warm_up(tracking_uri: str | None) -> None:
    """Let the server begin to import, while this process does so, too.

    Args:
        tracking_uri: that the workers will connect to; ``None``: the environment's, else a database of this machine.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    CONTEXT.set_forkserver_preload(IMPORTED if uri.startswith("http") else [*IMPORTED, *DATABASE])
    # Its children would lose it, and the command them, when a terminal that is closed tells all processes of it.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)
