"""Names of things that can be chosen. What a name stands for is imported only when it is asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Name -> what it stands for, in the order of entry.

    So settings can offer the name of an optimizer, and the command line its help, without torch.

    Example:
        >>> roots = Registry[object]("root", {"square": "math:sqrt"})
        >>> roots["square"](9.0), list(roots)
        (3.0, ['square'])

    Args:
        kind: what its names name, for errors.
        places: name -> ``module:object``.
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self.kind = kind
        self._places = dict(places)

    def add(self, name: str, place: str) -> None:
        """Offer one more, or another under the same name."""
        self._places[name] = place

    def remove(self, name: str) -> None:
        """Offer it no longer."""
        del self._places[name]

    def __getitem__(self, name: str) -> T:
        module, _, attribute = self._places[name].partition(":")
        return cast(T, getattr(import_module(module), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
