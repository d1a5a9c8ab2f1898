"""Registered models: made versions of, promoted behind a gate, listed, loaded. Knows no training and no Optuna.

``load`` turns any name of a model into a classifier, ``versions`` registers and lists, ``gate`` decides what may be
promoted by what ``comparison`` counts, ``aliases`` moves an alias forward and back while it holds the ``lease``,
``signature`` says whether ``files`` are those that were promoted, ``server`` tells what is not there from what cannot
be asked.
"""

from kmnist.registry.aliases import Rollback, promote, rollback
from kmnist.registry.initial import fetch_initial
from kmnist.registry.load import Fetched, fetch, fetch_network, identity, load_model, load_network, named_version
from kmnist.registry.versions import SAMPLE, SAMPLE_MODEL, find_best, list_versions, register, tag_version, trained_with

__all__ = [
    "SAMPLE",
    "SAMPLE_MODEL",
    "Fetched",
    "Rollback",
    "fetch",
    "fetch_initial",
    "fetch_network",
    "find_best",
    "identity",
    "list_versions",
    "load_model",
    "load_network",
    "named_version",
    "promote",
    "register",
    "rollback",
    "tag_version",
    "trained_with",
]
