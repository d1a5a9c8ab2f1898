"""Runs of the original report's own networks, beside its numbers."""

from kmnist import record
from kmnist.metrics import per_class_table
from kmnist.report.blocks import Block, Heading, Paragraph, Section, Table, literal
from kmnist.report.original import ORIGINALS, Original
from kmnist.report.source import Curve, Report, Source

HIDDEN, DROPOUT, LEAST_EPOCHS = (512, 256, 128, 64), 0.5, 51


def original(report: Report) -> Section | None:
    """The ten lines of its table, its test numbers, and its classes, each beside the run's."""
    blocks: list[Block] = []
    numbers = {}
    for source in report.ours:
        if (of := _of(source)) is None:
            continue
        blocks += [Heading(f"{source.letter} beside the report's {of.title}"), *_blocks(source, of)]
        numbers[source.letter] = {"observed": dict(source.curve(record.OBSERVED, "test_loss"))}
    if not blocks:
        return None
    text = (
        "The report that this project implements does not say its batch size, its pixels or its split. Its first "
        "epochs "
        "are matched, over three seeds, by all 60,000 images in batches of 32 (plain) and 64 (with dropout 0.5 in four "
        "layers), pixels of 0..1, and by the **test** split where it says validation."
    )
    if any(source.curve(record.OBSERVED, "test_loss") for source in report.ours):
        text += " Here the test split was looked at after the training only, with weights kept at those epochs, and "
        text += "nothing was chosen by it."
    return Section("Beside the original report", [Paragraph(text), *blocks], numbers)


def _of(source: Source) -> Original | None:
    config = source.run.config
    if config is None or source.run.dataset != "kmnist" or source.epochs < LEAST_EPOCHS or config.arch not in ORIGINALS:
        return None
    same = config["hidden"] == HIDDEN and (config.arch != "dropout" or config["dropout"] == DROPOUT)
    return ORIGINALS[config.arch] if same else None


def _blocks(source: Source, of: Original) -> list[Block]:
    loss, accuracy = (source.curve(record.TRAIN, name) for name in ("loss", "accuracy"))
    observed, valid = source.curve(record.OBSERVED, "test_loss"), source.curve(record.VALID, "loss")
    judged, what = (observed, "test loss") if observed else (valid, "valid loss")
    rows = [
        [
            f"{epoch}",
            _loss({epoch: row.train_loss}, epoch),
            _loss(loss, epoch),
            f"{row.accuracy:.2%}",
            _percent(accuracy, epoch),
            f"{row.valid_loss:.3f}",
            _loss(judged, epoch),
        ]
        for epoch, row in of.rows.items()
    ]
    header = [
        "epoch",
        "train loss: report",
        "run",
        "train accuracy: report",
        "run",
        "“valid” loss: report",
        f"run, {what}",
    ]
    blocks: list[Block] = [Table(f"{source.letter}: the report's table.", header, rows)]
    test_loss, test_accuracy = source.test("loss"), source.test("accuracy")
    if test_loss is not None and test_accuracy is not None:
        ahead = 100 * (test_accuracy - of.test_accuracy)
        blocks.append(
            Paragraph(
                f"On test the report has a loss of {of.test_loss:.4f} and {of.test_accuracy:.2%}; this run has "
                f"{test_loss:.4f} "
                f"and {test_accuracy:.2%}, {abs(ahead):.2f} points {'more' if ahead >= 0 else 'less'}."
            )
        )
    found, spec = source.predictions, source.spec
    if found is not None and spec is not None:
        table = per_class_table(found.actual, found.predicted, spec)
        told = [
            [
                literal(spec.names[number]),
                f"{of.precision[number]:.2f}",
                f"{row.precision:.2f}",
                f"{of.recall[number]:.2f}",
                f"{row.recall:.2f}",
            ]
            for number, (_, row) in enumerate(table.iterrows())
            if number < len(of.precision)
        ]
        header = ["class", "precision: report", "run", "recall: report", "run"]
        blocks.append(Table(f"{source.letter}: class by class.", header, told))
    return blocks


def _loss(curve: Curve, epoch: int) -> str:
    value = curve.get(epoch)
    return "–" if value is None else f"{value:.3f}" if value >= 0.01 or value == 0 else f"{value:.3g}"


def _percent(curve: Curve, epoch: int) -> str:
    value = curve.get(epoch)
    return "–" if value is None else f"{value:.2%}"
