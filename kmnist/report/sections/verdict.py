"""What was best, by how much, and how sure that is."""

from collections.abc import Sequence
from textwrap import shorten

from kmnist import record
from kmnist.figures.runs import accuracies
from kmnist.figures.style import render
from kmnist.report.arrange import BY_VALID, ranked_by, rankings
from kmnist.report.blocks import Block, Figure, Heading, Paragraph, Section, Table, literal
from kmnist.report.seeds import Group, seed_groups
from kmnist.report.source import Report, Source
from kmnist.report.statistics import Interval, Paired, spread

LABEL = 32  # characters beside a bar


def verdict(report: Report) -> Section:
    """First of all, for who reads no further."""
    found = rankings(report.judged)
    blocks: list[Block] = []
    if len(found) > 1:
        text = f"These runs were tested on {len(found)} different sets of images, so there are {len(found)} rankings. "
        blocks.append(Paragraph(text + "Accuracies on different images say nothing about each other."))
    for ranking in found:
        blocks += _ranking(ranking, _title(ranking) if len(found) > 1 else None)
    if not any(source.is_tested for source in report.judged):
        text = "None of these runs has been evaluated on the test split yet: nothing can be said about which is best."
        blocks.insert(0, Paragraph(text))
    return Section("Verdict", blocks, {source.letter: _numbers(source) for source in report.sources})


def _ranking(ranking: Sequence[Source], title: str | None) -> list[Block]:
    """Of runs that share their test images, the best first."""
    blocks: list[Block] = [Heading(title)] if title else []
    tested = [source for source in ranking if source.is_tested]
    if tested:
        best, *others = tested
        blocks.append(Paragraph(" ".join(_sentences(best, others))))
    blocks += [Paragraph(text) for text in _by_seeds(seed_groups(tested))]
    if len(tested) > 1 and all(_interval(source) for source in tested):
        found = {_label(source): _interval(source) for source in tested[:12]}
        drawing = render(accuracies, {name: (i.share, i.low, i.high) for name, i in found.items() if i})
        told = "; ".join(f"{source.letter} {_interval(source)}" for source in tested[:12])
        caption = "Test accuracy of each run with its 95 % interval: what other images of the same kind would give."
        name = f"accuracies_{tested[0].letter}" if title else "accuracies"
        blocks.append(Figure(name, caption, f"A dot and a bar for each run: {told}.", drawing))
    return [*blocks, _table(ranking)]


def _title(ranking: Sequence[Source]) -> str:
    name = ranking[0].run.dataset or "an unnamed data set"
    digest = next((found for one in ranking if (found := one.run.digests.get(record.TEST))), "")
    return f"On {literal(name)}" + (f" ({digest[:8]})" if digest else "")


def _sentences(best: Source, others: Sequence[Source]) -> list[str]:
    told = [f"{best.name} {'is the best of ' + str(len(others) + 1) if others else 'has been tested'}: it"]
    told[0] += f" recognises **{best.test('accuracy'):.2%}** of the test images"
    if interval := _interval(best):
        told[0] += f" (95 % interval {interval.low:.2%} to {interval.high:.2%})"
    told[0] += "."
    if others:
        told.append(f"The order is by {ranked_by([best, *others])}.")
        told.append(_against(best, others[0]))
    if best.run.dataset == "sample":
        told.append("It was trained and tested on the drawn sample: **its numbers say nothing about Kuzushiji-MNIST.**")
    return told


def _against(best: Source, second: Source) -> str:
    difference = 100 * ((best.test("accuracy") or 0) - (second.test("accuracy") or 0))
    if round(difference, 2) == 0:
        ahead = f"level with {second.name} on the test images"
    else:
        way = "ahead of" if difference > 0 else "behind"
        ahead = f"{abs(difference):.2f} points {way} {second.name} on the test images"
    one, other = best.predictions, second.predictions
    if one is None or other is None or len(one.actual) != len(other.actual):
        return f"It is {ahead}; how sure that is, cannot be told without the predictions of both."
    paired = Paired.of(one.hits, other.hits)
    return (
        f"It is {ahead}: {paired.first_only} of them only it recognises, {paired.second_only} only "
        f"{second.letter}, which is "
        f"{paired.words} (McNemar's test, {paired.p_text})."
    )


def _by_seeds(groups: Sequence[Group]) -> list[str]:
    return [
        f"{group.title}: {spread(group.accuracies)} of the test images over {len(group.seeds)} seeds "
        f"({', '.join(source.letter for source in group.sources)})."
        for group in groups
        if len(group.seeds) > 1
    ]


def _label(source: Source) -> str:
    config = source.run.config
    if source.run.is_ensemble:
        what = source.run.tags.get(record.WHAT, "")
    else:
        what = f"{config.arch} {config.net.summary}" if config else ""
    return f"{source.letter}   {shorten(what, LABEL, placeholder=' …')}".strip()


def _interval(source: Source) -> Interval | None:
    found = source.predictions
    return Interval.of(int(found.hits.sum()), len(found.hits)) if found else None


def _table(ranking: Sequence[Source]) -> Table:
    rows = []
    for source in ranking:
        interval, accuracy = _interval(source), source.test("accuracy")
        valid = source.run.value(record.BEST, "valid_accuracy")
        kept = source.best_epoch or "–"
        tested = str(interval) if interval else "–" if accuracy is None else f"{accuracy:.2%}"
        loss = source.test("loss")
        rows.append(
            [
                source.name,
                source.run.status.lower(),
                f"{source.epochs or '–'}",
                f"{kept}",
                "–" if valid is None else f"{valid:.2%}",
                tested,
                "–" if loss is None else f"{loss:.4f}",
            ]
        )
    header = ["run", "status", "epochs", "tested epoch", "best valid accuracy", "test accuracy, 95 %", "test loss"]
    order = "best first" if ranked_by(ranking) == BY_VALID else "best on test first"
    return Table(f"The runs, {order}.", header, rows)


def _numbers(source: Source) -> dict[str, object]:
    interval = _interval(source)
    return {
        "run_id": source.run.run_id,
        "name": source.run.name,
        "status": source.run.status,
        "metrics": dict(sorted(source.run.metrics.items())),
        "test_accuracy_95": [interval.low, interval.high] if interval else None,
    }
