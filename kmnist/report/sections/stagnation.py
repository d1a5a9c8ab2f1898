"""Why a loss stands still: gradients, learning rate, architecture, or nothing left to learn."""

from collections.abc import Mapping

import numpy as np

from kmnist import record
from kmnist.figures.runs import diagnosis
from kmnist.figures.style import SERIES, render
from kmnist.report.blocks import Block, Figure, Heading, Paragraph, Section, Table, literal
from kmnist.report.source import LAYERS, Report, Source

ZERO = 1e-3  # nats, below which a loss is taken for learnt by heart
STILL = 0.02  # of itself, by which a loss may change in the last quarter and still stand
HIGH = 0.05  # nats, above which standing still is a failure to learn
VANISHED, DEAD, LARGE, SMALL = 1e-3, 0.5, 0.3, 1e-4


def stagnation(report: Report) -> Section | None:
    """An answer for each run whose training loss stands still, at zero or above."""
    runs = report.ours
    if not runs:
        return None
    blocks: list[Block] = []
    numbers = {}
    for source in runs:
        if (found := _found(source)) is None:
            continue
        blocks += [Heading(f"{source.letter}: {found[0]}"), Paragraph(found[1])]
        numbers[source.letter] = _numbers(source)
        if table := _layers(source):
            blocks.append(table)
    if not blocks:
        lowest = ", ".join(f"{source.letter} {min(source.curve(record.TRAIN, 'loss').values()):.3g}" for source in runs)
        text = f"No run's training loss stood still: neither at 0 nor above it (lowest, in nats: {lowest})."
        blocks.append(Paragraph(text))
    diagnosed = [source for source in runs if source.curve(record.DIAGNOSTICS, "gradient_norm")][: len(SERIES)]
    if diagnosed:
        drawing = render(diagnosis, {source.letter: _curves(source) for source in diagnosed})
        told = "; ".join(f"{s.letter} from {_ends(s, 'gradient_norm')}" for s in diagnosed)
        caption = (
            "Measured after each epoch on a small fixed batch, dropout off. The margin is the label's "
            "log-probability less "
            "the next best; the calibration error is on validation images where there are any."
        )
        blocks.append(Figure("diagnostics", caption, f"Six panels by epoch. Gradient norm: {told}.", drawing))
    return Section("Does the loss stand still, and why", blocks, numbers)


def _found(source: Source) -> tuple[str, str] | None:
    """A heading and the answer, in words; ``None`` where the loss moves."""
    loss = source.curve(record.TRAIN, "loss")
    epochs = sorted(loss)
    lowest = min(loss.values())
    if lowest < ZERO:
        first = next(epoch for epoch in epochs if loss[epoch] < ZERO)
        accuracy = source.curve(record.TRAIN, "accuracy")[epochs[-1]]
        head = "the training loss reaches zero"
        text = (
            f"The training loss is below {ZERO:g} from epoch {first} on and {loss[epochs[-1]]:.2g} in the last, with "
        )
        text += f"{accuracy:.2%} of the training images recognised. " + _why_zero(source)
        return head, text
    quarter = epochs[-max(len(epochs) // 4, 1) :]
    change = abs(loss[quarter[0]] - loss[quarter[-1]]) / loss[quarter[0]]
    if len(epochs) >= 8 and change < STILL and loss[epochs[-1]] > HIGH:
        head = f"the training loss stands still at {loss[epochs[-1]]:.3f}"
        text = f"In the last {len(quarter)} epochs it changed by {change:.1%}. "
        return head, text + _why_high(source)
    return None


def _why_zero(source: Source) -> str:
    gradient = source.curve(record.DIAGNOSTICS, "gradient_norm")
    if not gradient:
        return (
            "Without diagnostics the cause can only be inferred: a loss of zero at full accuracy means that "
            "nothing is left "
            "to learn, so the gradients are small because the errors are, not because they are lost on the way."
        )
    margin, confidence = source.curve(record.DIAGNOSTICS, "margin"), source.curve(record.DIAGNOSTICS, "confidence")
    last = max(gradient)
    told = [
        f"**Nothing is left to learn.** On the batch that was watched the label leads the next class by "
        f"{margin[last]:.1f} "
        f"nats, at a mean confidence of {confidence[last]:.6g}; the gradient's norm went from "
        f"{_ends(source, 'gradient_norm')}: "
        "it is small because the errors are."
    ]
    return " ".join([*told, _depth(source), _rate(source, learnt=True), _relus(source), _weights(source)])


def _why_high(source: Source) -> str:
    if not source.curve(record.DIAGNOSTICS, "gradient_norm"):
        return "It was not diagnosed: train it again with `--diagnostics`, its default, for an answer."
    return " ".join(
        ["What was measured:", _depth(source), _rate(source, learnt=False), _relus(source), _weights(source)]
    )


def _depth(source: Source) -> str:
    """Whether gradients get lost on the way to the first layer: what is called vanishing."""
    gradients = _last_of(source, "gradient_norm")
    if len(gradients) < 2:
        return ""
    names = list(gradients)
    first, last = gradients[names[0]], gradients[names[-1]]
    if last == 0:
        return "Gradients do not vanish on their way: they are exactly 0 in the last layer already."
    ratio = first / last
    verdict = "they do not vanish on their way" if ratio > VANISHED else "**they vanish on their way**"
    return f"Gradients by depth: {literal(names[0])}'s is {ratio:.2g} times that of {literal(names[-1])}; {verdict}."


def _rate(source: Source, learnt: bool) -> str:
    curve = source.curve(record.DIAGNOSTICS, "update_ratio")
    if not curve:
        return ""
    early, last = curve[min(curve)], curve[max(curve)]
    text = f"Learning rate: an epoch changed the weights of the layer that moved most by {early:.2g} of their norm at "
    text += f"first and by {last:.2g} at the end; "
    if early > LARGE and not learnt:
        return text + "**that is much: the rate may be too high.**"
    if early < SMALL and not learnt:
        return text + "**they hardly moved from the beginning: the rate is too low.**"
    return text + "the rate was fit to learn with" + (", and they stand still by now." if last < SMALL else ".")


def _relus(source: Source) -> str:
    dead = source.curve(record.DIAGNOSTICS, "dead_relus")
    if not dead:
        return ""
    last = dead[max(dead)]
    verdict = (
        "**most units are lost**" if last > DEAD else "the architecture has units to spare" if last > 0.1 else "few"
    )
    return f"Dead ReLUs: {last:.1%} of them at the end, {dead[min(dead)]:.1%} at first; {verdict}."


def _weights(source: Source) -> str:
    return f"The norm of all weights went from {_ends(source, 'weight_norm')}."


def _ends(source: Source, name: str) -> str:
    curve = source.curve(record.DIAGNOSTICS, name)
    return f"{curve[min(curve)]:.3g} to {curve[max(curve)]:.3g}"


def _curves(source: Source) -> Mapping[str, Mapping[int, float]]:
    prefix = record.metric(record.DIAGNOSTICS, "")
    return {name.removeprefix(prefix): curve for name, curve in source.curves.items() if name.startswith(prefix)}


def _last_of(source: Source, column: str) -> dict[str, float]:
    """By layer, after the last epoch."""
    table = source.table(LAYERS)
    if table is None or not {"epoch", "layer", column} <= set(table):
        return {}
    last = table[(table["epoch"] == table["epoch"].max()) & table[column].notna()]
    return {str(layer): float(value) for layer, value in zip(last["layer"], last[column])}


def _layers(source: Source) -> Table | None:
    columns = {
        "gradient_norm": "gradient norm",
        "weight_norm": "weight norm",
        "update_ratio": "changed in the last epoch",
        "dead": "dead, share",
    }
    found = {column: _last_of(source, column) for column in columns}
    names = list(dict.fromkeys(name for of in found.values() for name in of))
    if not names:
        return None
    rows = [[literal(name), *(f"{of[name]:.3g}" if name in of else "" for of in found.values())] for name in names]
    return Table(f"{source.brief}: its layers after the last epoch.", ["layer", *columns.values()], rows[:40])


def _numbers(source: Source) -> dict[str, object]:
    table = source.table(LAYERS)
    layers = (
        []
        if table is None
        else table[table["epoch"] == table["epoch"].max()].replace({np.nan: None}).to_dict("records")
    )
    return {"diagnostics": {name: dict(curve) for name, curve in sorted(_curves(source).items())}, "layers": layers}
