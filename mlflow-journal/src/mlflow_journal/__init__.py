"""A journal on disk between an MLflow program and its tracking server.

Set ``MLFLOW_JOURNAL_DIR``, or call ``enable``, and every call of MLflow's tracking returns at once and is never lost.
"""

import os
import sys
from pathlib import Path

import mlflow_journal.plugin  # noqa: F401  # registers what waits at the end of the program

__all__ = ["__version__", "enable", "flush"]
__version__ = "0.1.0"


def enable(folder: str | os.PathLike[str]) -> None:
    """Turn the journal on for this process and its children, as ``MLFLOW_JOURNAL_DIR`` does. Call it first.

    Args:
        folder: where journals are kept; made at the first write.
    """
    os.environ["MLFLOW_JOURNAL_DIR"] = str(Path(folder).expanduser().absolute())
    for name, attribute in (
        ("mlflow.tracking._tracking_service.utils", "_tracking_store_registry"),
        ("mlflow.tracking._model_registry.utils", "_model_registry_store_registry"),
    ):  # stores that MLflow made before are made anew
        registry = getattr(sys.modules.get(name), attribute, None)
        cached = getattr(type(registry), "_get_store_with_resolved_uri", None)
        if clear := getattr(cached, "cache_clear", None):
            clear()


def flush(seconds: float = 60.0) -> bool:
    """Wait until all that this process has written has arrived; false: not within ``seconds`` without progress."""
    process = sys.modules.get("mlflow_journal.process")
    return process is None or bool(process.flush_all(seconds))
