"""Registered models: made versions of, promoted behind a gate, listed, loaded. Knows no training and no Optuna.

``load`` turns any name of a model into a classifier, ``versions`` registers and lists, ``gate`` decides what may be
promoted, ``aliases`` moves an alias forward and back.
"""

from kmnist.registry.aliases import promote, rollback
from kmnist.registry.load import load_model
from kmnist.registry.versions import find_best, list_versions, register

__all__ = ["find_best", "list_versions", "load_model", "promote", "register", "rollback"]
