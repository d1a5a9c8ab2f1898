"""The order of the runs in a report, and the letters that they have in it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kmnist import record
from kmnist.report.source import Source, letters

BY_VALID, BY_TEST = "the best validation accuracy of an epoch", "test accuracy, for not all have validation images"
DETAILED = 4  # runs that are told of one by one; the others in tables


def arrange(sources: Sequence[Source]) -> list[Source]:
    """The runs in the order of a report, each with its letter.

    Runs that were tested on the same images are one ranking: the best first, those that were not tested last. Published
    data sets come before others, larger rankings before smaller ones. Runs that are not of this program come last.
    """
    ordered = [source for ranking in rankings(sources) for source in ranking]
    ordered += sorted((source for source in sources if not source.is_judged), key=_age)
    return [replace(source, letter=letter) for source, letter in zip(ordered, letters())]


def rankings(sources: Sequence[Source]) -> list[list[Source]]:
    """The runs of this program by the test images that they share, each list with the best first.

    Accuracies on different images say nothing about each other. A run without test images goes with the first runs of
    the same data set.
    """
    groups: dict[tuple[str, str], list[Source]] = {}
    for source in sorted(
        (one for one in sources if one.is_judged), key=lambda one: not one.run.digests.get(record.TEST)
    ):
        name, digest = source.run.dataset, source.run.digests.get(record.TEST, "")
        same_name = (key for key in groups if key[0] == name)
        groups.setdefault((name, digest) if digest else next(same_name, (name, digest)), []).append(source)
    ordered = [sorted(group, key=partial(_key, by=ranked_by(group))) for group in groups.values()]
    return sorted(
        ordered, key=lambda group: (not any(one.run.is_official for one in group), -len(group), _age(group[0]))
    )


def ranked_by(sources: Sequence[Source]) -> str:
    """What decides the order within a ranking: the test split only where there is nothing else."""
    tested = [source for source in sources if source.is_judged and source.is_tested]
    return BY_VALID if all(_valid(source) is not None for source in tested) else BY_TEST


def detailed(sources: Sequence[Source]) -> list[Source]:
    """The runs that are told of one by one: the best of those that have predictions."""
    return [source for source in sources if source.predictions is not None][:DETAILED]


def _key(source: Source, by: str) -> tuple[bool, float, int, str]:
    value = _valid(source) if by == BY_VALID else source.test("accuracy")
    return (not source.is_tested, -(value or 0.0), *_age(source))


def _age(source: Source) -> tuple[int, str]:
    return (source.started_ms, source.run.run_id)


def _valid(source: Source) -> float | None:
    return source.run.value(record.BEST, "valid_accuracy")
