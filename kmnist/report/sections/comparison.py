"""The runs side by side, on the same images."""

from itertools import combinations

from kmnist.report.blocks import Block, Paragraph, Section, Table
from kmnist.report.seeds import seed_groups
from kmnist.report.source import Report
from kmnist.report.statistics import Paired, spread

MOST = 6  # runs that are compared with each other


def comparison(report: Report) -> Section | None:
    """Each two by McNemar's test; several seeds as mean and standard deviation."""
    runs = [source for source in report.tested if source.predictions is not None]
    rows, numbers = [], []
    for one, other in combinations(runs[:MOST], 2):
        first, second = one.predictions, other.predictions
        if first is None or second is None or one.run.digests.get("test") != other.run.digests.get("test"):
            continue
        if len(first.actual) != len(second.actual):
            continue
        paired = Paired.of(first.hits, second.hits)
        difference = 100 * (first.hits.mean() - second.hits.mean())
        rows.append(
            [
                f"{one.letter} and {other.letter}",
                f"{difference:+.2f}",
                f"{paired.first_only}",
                f"{paired.second_only}",
                paired.p_text,
                paired.words,
            ]
        )
        numbers.append(
            {
                "runs": [one.letter, other.letter],
                "first_only": paired.first_only,
                "second_only": paired.second_only,
                "p": paired.p,
            }
        )
    groups = [group for group in seed_groups(report.ours) if len(group.seeds) > 1]
    blocks: list[Block] = []
    if rows:
        header = ["runs", "difference, points", "only the first right", "only the second right", "McNemar", "that is"]
        blocks.append(Table("Each two on the same test images.", header, rows))
        if len(rows) > 1:
            text = f"Of {len(rows)} pairs one in twenty has p < 0.05 by chance alone; p < {0.05 / len(rows):.2g} "
            text += "(Bonferroni) is sure for all of them together."
            blocks.append(Paragraph(text))
    if groups:
        told = []
        for group in groups:
            losses = [loss for source in group.sources if (loss := source.test("loss")) is not None]
            letters = ", ".join(source.letter for source in group.sources)
            told.append([group.title, letters, spread(group.accuracies), spread(losses, 4, percent=False)])
        header = ["settings", "runs", "test accuracy", "test loss"]
        blocks.append(Table("The same settings with several seeds: mean ± standard deviation.", header, told))
    return Section("Side by side", blocks, {"pairs": numbers}) if blocks else None
