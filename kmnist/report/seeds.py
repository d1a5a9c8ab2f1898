"""Runs that differ in their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from kmnist.report.blocks import literal
from kmnist.report.source import Source
from kmnist.settings import as_flags


@dataclass(frozen=True)
class Group:
    """Runs of the same settings and images.

    Attributes:
        sources: at least one.
    """

    sources: tuple[Source, ...]

    @property
    def title(self) -> str:
        """For a person."""
        config = self.sources[0].run.config
        return literal(f"{config.arch} {config.net.summary}".strip() if config else self.sources[0].run.name)

    @property
    def seeds(self) -> set[str]:
        """Theirs; a seed that was trained with twice tells nothing new."""
        return {source.run.params.get("seed", "") for source in self.sources}

    @property
    def accuracies(self) -> list[float]:
        """On the test split."""
        return [value for source in self.sources if (value := source.test("accuracy")) is not None]


def seed_groups(sources: Sequence[Source]) -> list[Group]:
    """Those that were tested, by what they have in common, in their order."""
    found: dict[tuple[str, str], list[Source]] = {}
    for source in sources:
        config = source.run.config
        if config is not None and source.is_tested:
            settings = as_flags({name: text for name, text in config.as_text().items() if name != "seed"})
            found.setdefault((source.run.digests.get("test", ""), settings), []).append(source)
    return [Group(tuple(of)) for of in found.values()]
