"""Settings read from text, with errors that help; what a search may choose from; choices that are found by name.

Knows no command line, YAML, optuna, mlflow or torch.
"""

from kmnist.settings.base import Settings, as_flags, shorten, to_text, unknown_name
from kmnist.settings.choice import Choice, describe
from kmnist.settings.ranges import Choices, Layers, Range, Searched, SearchRange, parse_range
from kmnist.settings.registry import Registry

__all__ = [
    "Choice",
    "Choices",
    "Layers",
    "Range",
    "Registry",
    "SearchRange",
    "Searched",
    "Settings",
    "as_flags",
    "describe",
    "parse_range",
    "shorten",
    "to_text",
    "unknown_name",
]
