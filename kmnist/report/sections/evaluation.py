"""What the networks make of the test images."""

from io import BytesIO

import numpy as np
from PIL import Image

from kmnist import record
from kmnist.data import DataSpec
from kmnist.figures import misclassified
from kmnist.metrics import confusions_table, per_class_table
from kmnist.report.arrange import detailed
from kmnist.report.blocks import Block, Gallery, Heading, Matrix, Paragraph, Section, Table, literal
from kmnist.report.source import Predictions, Report, Source

PAIRS, WORST = 8, 16


def evaluation(report: Report) -> Section | None:
    """Losses and accuracies of all; report, confusions and worst errors of the best."""
    tested = [source for source in report.judged if source.is_tested]
    if not tested:
        return None
    text = (
        "The test split was evaluated once, after the last epoch: with the weights that were kept, which these "
        "tables are of, "
        "and with the last ones."
    )
    blocks: list[Block] = [Paragraph(text), _losses(tested)]
    shown = detailed(tested)
    numbers = {}
    for source in shown:
        found, spec = source.predictions, source.spec
        if found is None or spec is None:
            continue
        blocks += [Heading(f"{source.letter}: {literal(source.run.name)}"), *_details(source, found, spec, report)]
        numbers[source.letter] = {"confusion": found.confusion.tolist()}
    left = len(tested) - len(shown)
    if left:
        blocks.append(Paragraph(f"{left} more {'run is' if left == 1 else 'runs are'} in the first table only."))
    return Section("Evaluation", blocks, numbers)


def _losses(tested: list[Source]) -> Table:
    rows = []
    for source in tested:
        cells = [source.test(name, split) for split in (record.TEST, record.TEST_LAST) for name in ("loss", "accuracy")]
        told = [
            "–" if value is None else f"{value:.2%}" if place % 2 else f"{value:.4f}"
            for place, value in enumerate(cells)
        ]
        rows.append([source.brief, f"{source.best_epoch or '–'}", *told[:2], f"{source.epochs or '–'}", *told[2:]])
    header = ["run", "kept epoch", "test loss", "test accuracy", "last epoch", "test loss", "test accuracy"]
    return Table("On the test split, with the weights that were kept and with the last.", header, rows)


def _details(source: Source, found: Predictions, spec: DataSpec, report: Report) -> list[Block]:
    table = per_class_table(found.actual, found.predicted, spec)
    rows = [
        [
            f"{row['class']} {literal(str(row.glyph))} {literal(str(row.label))}".strip(),
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            f"{row.f1:.3f}",
            f"{row.support:,}",
        ]
        for _, row in table.iterrows()
    ]
    means = [f"{table[name].mean():.3f}" for name in ("precision", "recall", "f1")]
    rows.append(["mean", *means, f"{table['support'].sum():,}"])
    pairs = confusions_table(found.confusion, spec, PAIRS)
    told = [
        [literal(str(row.actual)), literal(str(row.predicted)), f"{row['count']}", f"{row.share_of_actual:.1%}"]
        for _, row in pairs.iterrows()
    ]
    errors = int((~found.hits).sum())
    blocks: list[Block] = [
        Table(f"{source.letter}, classification report.", ["class", "precision", "recall", "f1", "images"], rows),
        Matrix(
            f"confusion_{source.letter}",
            f"{source.letter}, confusion matrix: rows are the actual classes, columns the predicted ones. "
            f"{errors:,} of "
            f"{len(found.hits):,} images are off the diagonal; the shade of an error is by the most frequent one.",
            found.confusion,
            spec,
        ),
    ]
    if told:
        blocks.append(
            Table(f"{source.letter}, most confused.", ["actual", "taken for", "images", "of the actual"], told)
        )
    dataset = report.dataset(source)
    if dataset is None or not np.array_equal(dataset.test.labels, found.actual):
        blocks.append(Paragraph("The test images themselves are not here: its worst errors cannot be shown."))
    elif errors:
        blocks.append(_worst(source, found, spec, dataset.test.pixels))
    return blocks


def _worst(source: Source, found: Predictions, spec: DataSpec, pixels: np.typing.NDArray[np.uint8]) -> Gallery:
    """As :func:`kmnist.figures.misclassified` orders them."""
    sure = found.probabilities.max(axis=1)
    wrong = np.flatnonzero(~found.hits)
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
    images = []
    for index in wrong:
        content = BytesIO()
        Image.fromarray(pixels[index]).save(content, "png", optimize=True)
        actual, predicted = (spec.words(int(of[index])) for of in (found.actual, found.predicted))
        images.append((content.getvalue(), f"{literal(actual)}, taken for {literal(predicted)} ({sure[index]:.1%})"))
    return Gallery(
        f"errors_{source.letter}",
        f"{source.letter}: the {len(wrong)} errors that it was surest of.",
        "Handwritten characters, each with what it is and what it was taken for.",
        images,
        misclassified(pixels, found.actual, found.probabilities, spec, rows=-(-len(wrong) // 8)),
    )
