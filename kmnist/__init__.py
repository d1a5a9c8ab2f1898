"""Kuzushiji-MNIST classifiers with MLflow.

``load_model`` is what a program needs that wants predictions; everything else is behind the command ``kmnist``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmnist.registry import load_model

__all__ = ["load_model"]


def __getattr__(name: str) -> Any:
    """Load what is asked for only then: the command's help must not wait for torch."""
    if name == "load_model":
        from kmnist.registry import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
