"""A setting that is one of the names of a registry."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from kmnist.settings.base import unknown_name
from kmnist.settings.registry import Registry


@dataclass(frozen=True)
class Choice:
    """Marks a text as the name of an entry: ``optimizer: Annotated[str, Choice(OPTIMIZERS)]``.

    Unlike ``Literal`` it takes what was added to the registry later, from outside of this package, too.
    """

    registry: Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a text, and then this check."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name not in self.registry:
            raise ValueError(unknown_name(self.registry.kind, name, list(self.registry)))
        return name


def describe(field: FieldInfo) -> str:
    """The description of a setting, with its choices where it is one of a registry: ``optimizer: adam, sgd``."""
    choices = [", ".join(mark.registry) for mark in field.metadata if isinstance(mark, Choice)]
    return ": ".join([field.description or "", *choices])
