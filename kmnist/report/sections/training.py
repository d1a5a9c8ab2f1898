"""How the training went, epoch by epoch."""

from kmnist import record
from kmnist.figures.runs import run_curves
from kmnist.figures.style import SERIES, render
from kmnist.report.blocks import Block, Figure, Paragraph, Section, Table
from kmnist.report.original import EPOCHS
from kmnist.report.source import Report, Source

MOST_ROWS = 10


def training(report: Report) -> Section | None:
    """Curves of the best runs in one figure, and a table at the epochs of the original report."""
    runs = report.ours
    if not runs:
        return None
    shown = runs[: len(SERIES)]
    curves = {source.letter: _splits(source) for source in shown}
    marked = {source.letter: source.best_epoch for source in shown if source.best_epoch}
    last = "; ".join(_last(source) for source in shown)
    blocks: list[Block] = [
        Figure(
            "curves",
            "Loss and error over the epochs, both logarithmic. Thin: on the images that are learnt from, while the "
            "weights change. Thick: on images kept for validation, or on the test images where they were "
            "observed after "
            "the training. A ring marks the epoch whose weights were kept. Losses of 1e-6 and less, and errors of "
            "0.01 % and less, are drawn at the bottom.",
            f"Two panels of curves that fall with the epochs. At the end: {last}.",
            render(run_curves, curves, marked),
        )
    ]
    if len(runs) > len(shown):
        blocks.append(Paragraph(f"The other {len(runs) - len(shown)} runs are in the tables only."))
    blocks += [_table(source) for source in runs]
    numbers = {
        source.letter: {
            name: dict(curve)
            for name, curve in sorted(source.curves.items())
            if name.startswith((record.TRAIN, record.VALID))
        }
        for source in runs
    }
    return Section("Training", blocks, numbers)


def told_epochs(source: Source) -> list[int]:
    """The epochs of a table: all if they are few; of a long training every 50th from 1 on; else evenly, with "
    "the last."""
    epochs = list(source.curve(record.TRAIN, "loss"))
    if len(epochs) <= MOST_ROWS:
        return epochs
    if epochs[-1] > EPOCHS[1] * 2:
        found = {epoch for epoch in epochs if epoch % 50 == 1}
    else:
        found = {epochs[round(place * (len(epochs) - 1) / (MOST_ROWS - 1))] for place in range(MOST_ROWS)}
    return sorted({*found, epochs[-1], source.best_epoch or epochs[-1]})


def _splits(source: Source) -> dict[str, dict[str, dict[int, float]]]:
    names = ("loss", "accuracy")
    found = {
        split: {name: dict(source.curve(split, name)) for name in names}
        for split in (record.TRAIN, record.VALID)
        if source.curve(split, "loss")
    }
    observed = {name: dict(source.curve(record.OBSERVED, f"test_{name}")) for name in names}
    return {**found, record.TEST: observed} if observed["loss"] else found


def _last(source: Source) -> str:
    parts = [
        f"{split} loss {list(curve.values())[-1]:.3g}"
        for split in (record.TRAIN, record.VALID)
        if (curve := source.curve(split, "loss"))
    ]
    return f"{source.letter} {', '.join(parts)}"


def _table(source: Source) -> Table:
    names = [
        (split, name)
        for split in (record.TRAIN, record.VALID)
        for name in ("loss", "accuracy")
        if source.curve(split, name)
    ]
    rows = []
    for epoch in told_epochs(source):
        mark = " (kept)" if epoch == source.best_epoch else ""
        rows.append([f"{epoch}{mark}", *(_cell(source.curve(*of).get(epoch), of[1]) for of in names)])
    return Table(f"{source.brief} by epoch.", ["epoch", *(f"{split} {name}" for split, name in names)], rows)


def _cell(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4f}" if value >= 0.001 or value == 0 else f"{value:.2e}"
