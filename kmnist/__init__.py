"""Kuzushiji-MNIST classifiers with MLflow.

``load_model`` is what a program needs that wants predictions, ``load_network`` one that wants the network itself;
everything else is behind the command ``kmnist``.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmnist.registry import load_model, load_network

__all__ = ["load_model", "load_network"]


def __getattr__(name: str) -> Any:
    """Load what is asked for only then: the command's help must not wait for torch."""
    if name in __all__:
        from kmnist import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
