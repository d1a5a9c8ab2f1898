"""The classes that are recognised worst: whether they are missed or wrongly seen, and with whom they are confused."""

import numpy as np

from kmnist.metrics import per_class_table
from kmnist.report.arrange import detailed
from kmnist.report.blocks import Block, Paragraph, Section, Table, literal
from kmnist.report.source import Report, Source
from kmnist.report.statistics import Interval

WEAKEST = 3
LOPSIDED = 0.02  # by which precision and recall differ enough for a word


def weak_classes(report: Report) -> Section | None:
    """Of each of the best runs."""
    blocks: list[Block] = []
    rows, numbers = [], {}
    for source in detailed(report.tested):
        found, spec = source.predictions, source.spec
        if found is None or spec is None:
            continue
        table = per_class_table(found.actual, found.predicted, spec).sort_values("f1", kind="stable")
        worst = [int(number) for number in table["class"][:WEAKEST]]
        numbers[source.letter] = worst
        blocks.append(Paragraph(_words(source, worst[0])))
        for number in worst:
            one = table.set_index("class").loc[number]
            hits, count = int(found.confusion[number, number]), int(found.confusion[number].sum())
            recall = str(Interval.of(hits, count)) if count else "–"
            rows.append(
                [
                    f"{source.letter}, {literal(spec.names[number])}",
                    f"{one.precision:.2%}",
                    recall,
                    _partners(source, number, missed=True),
                    _partners(source, number, missed=False),
                ]
            )
    if not blocks:
        return None
    header = ["run, class", "precision", "recall, 95 %", "its images taken for", "taken for it"]
    return Section("Weak classes", [*blocks, Table("The weakest classes of each run, by f1.", header, rows)], numbers)


def _words(source: Source, number: int) -> str:
    found, spec = source.predictions, source.spec
    assert found is not None
    assert spec is not None
    table = per_class_table(found.actual, found.predicted, spec).set_index("class")
    one = table.loc[number]
    name = literal(spec.names[number])
    text = f"{source.brief} is weakest on **{name}** (f1 {one.f1:.3f}; all classes: {table['f1'].mean():.3f}): "
    if one.recall - one.precision > LOPSIDED:
        text += f"it sees it too often (precision {one.precision:.1%}, recall {one.recall:.1%}), mostly in "
        return text + f"{_partners(source, number, missed=False)}."
    if one.precision - one.recall > LOPSIDED:
        text += f"it misses it (precision {one.precision:.1%}, recall {one.recall:.1%}), mostly for "
        return text + f"{_partners(source, number, missed=True)}."
    both = _partners(source, number, missed=True)
    return (
        text + f"precision {one.precision:.1%} and recall {one.recall:.1%} are alike; its images are taken for {both}."
    )


def _partners(source: Source, number: int, missed: bool) -> str:
    found, spec = source.predictions, source.spec
    assert found is not None
    assert spec is not None
    counts = (found.confusion[number] if missed else found.confusion[:, number]).copy()
    counts[number] = 0
    order = [int(other) for other in np.argsort(-counts, kind="stable")[:3] if counts[other]]
    return ", ".join(f"{literal(spec.words(other))} ({counts[other]})" for other in order) or "nothing"
