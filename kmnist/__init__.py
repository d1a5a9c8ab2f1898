"""Kuzushiji-MNIST classifiers with MLflow.

``load_model`` is what a program needs that wants predictions, ``load_network`` one that wants the network itself.
``train``, ``tune`` and ``evaluate`` do what the commands of these names do; everything else is behind the command
``kmnist``.
"""

from importlib import import_module

TYPE_CHECKING = False  # to type checkers it is true; importing typing would take longer than all else here
if TYPE_CHECKING:
    from kmnist.api import evaluate, train, tune
    from kmnist.registry import load_model, load_network

__all__ = ["evaluate", "load_model", "load_network", "train", "tune"]

LOADERS = ("load_model", "load_network")


def __getattr__(name: str) -> object:
    """Load what is asked for only then: the command's help must not wait for torch."""
    if name in __all__:
        return getattr(import_module("kmnist.registry" if name in LOADERS else "kmnist.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
