"""The order of the runs in a report, and the letters that they have in it."""

from collections.abc import Sequence
from dataclasses import replace

from kmnist import record
from kmnist.report.source import Source, letters

BY_VALID, BY_TEST = "the best validation accuracy of an epoch", "test accuracy, for not all have validation images"
DETAILED = 4  # runs that are told of one by one; the others in tables


def arrange(sources: Sequence[Source]) -> list[Source]:
    """The best first, those that were not tested after them, those that are not ours last; each with its letter."""
    by = ranked_by(sources)
    ordered = sorted(sources, key=lambda source: _key(source, by))
    return [replace(source, letter=letter) for source, letter in zip(ordered, letters())]


def ranked_by(sources: Sequence[Source]) -> str:
    """What decides the order: the test split only where there is nothing else."""
    tested = [source for source in sources if source.is_judged and source.is_tested]
    return BY_VALID if all(_valid(source) is not None for source in tested) else BY_TEST


def detailed(sources: Sequence[Source]) -> list[Source]:
    """The runs that are told of one by one: the best of those that have predictions."""
    return [source for source in sources if source.predictions is not None][:DETAILED]


def _key(source: Source, by: str) -> tuple[bool, bool, float, int, str]:
    value = _valid(source) if by == BY_VALID else source.test("accuracy")
    return (not source.is_judged, not source.is_tested, -(value or 0.0), source.started_ms, source.run.run_id)


def _valid(source: Source) -> float | None:
    return source.run.value(record.BEST, "valid_accuracy")
