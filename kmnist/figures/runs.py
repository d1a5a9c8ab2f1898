"""Several runs in one picture: their curves, how calibrated they are, and what their layers went through."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kmnist.figures.curves import LOWEST_LOSS
from kmnist.figures.style import DASHES, SERIES, figure_of

Curve = Mapping[int, float]
MARKERS = "os^Dv*"


def run_curves(runs: Mapping[str, Mapping[str, Mapping[str, Curve]]], marked: Mapping[str, int]) -> Any:
    """Loss (logarithmic) and error of each run over the epochs; the training thin, what it is judged by thick.

    Args:
        runs: label -> split -> ``loss`` or ``accuracy`` -> curve. The first split is what was learnt from.
        marked: label -> the epoch whose weights were kept.
    """
    figure = figure_of(10, 4.3, left=0.8, right=0.15, bottom=0.55, top=0.55, wspace=0.22)
    for place, (name, title) in enumerate({"loss": "loss, nats", "accuracy": "error, %"}.items(), start=1):
        axes = figure.add_subplot(1, 2, place)
        for number, (label, splits) in enumerate(runs.items()):
            colour, dash = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
            for order, (split, curves) in enumerate(splits.items()):
                curve = curves.get(name, {})
                values = np.array(list(curve.values()))
                shown = np.maximum(values, LOWEST_LOSS) if name == "loss" else np.maximum(100 * (1 - values), 0.01)
                style = {"color": colour, "linestyle": dash, "linewidth": 0.9 if order == 0 else 2.0}
                few = {"marker": MARKERS[number % len(MARKERS)], "markersize": 3.5} if len(curve) <= 30 else {}
                axes.plot(list(curve), shown, label=f"{label} {split}", alpha=0.75 if order == 0 else 1, **style, **few)
                if order and marked.get(label) in curve:
                    at = shown[list(curve).index(marked[label])]
                    axes.plot(
                        [marked[label]], [at], "o", color=colour, markersize=9, fillstyle="none", markeredgewidth=1.6
                    )
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        _plain_ticks(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="upper center", ncols=min(len(labels), 6), fontsize=9)
    return figure


def _plain_ticks(axes: Any) -> None:
    """A logarithmic axis over few decades is read as 1, 2, 5, 10, not as powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    if high < 3000 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1, 3)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def reliability(runs: Mapping[str, Sequence[tuple[float, float, int]]]) -> Any:
    """Share of hits over confidence; on the diagonal, confidence can be believed.

    Args:
        runs: label -> mean confidence, share of hits and number of images of each bin.
    """
    figure = figure_of(5.2, 4.6, left=0.75, right=0.2, bottom=0.6, top=0.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#767676", linewidth=1, label="as sure as right")
    for number, (label, bins) in enumerate(runs.items()):
        confidence, share, counts = (np.array(part) for part in zip(*bins))
        style = {"color": SERIES[number % len(SERIES)], "linestyle": DASHES[number % len(DASHES)]}
        axes.plot(confidence, share, marker=MARKERS[number % len(MARKERS)], markersize=4, label=label, **style)
        few = counts < 20  # whose share says little
        axes.plot(confidence[few], share[few], "o", color="white", markersize=3, markeredgecolor=style["color"])
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="upper left")
    return figure


def diagnosis(runs: Mapping[str, Mapping[str, Curve]]) -> Any:
    """What the layers of each run went through, one panel a number.

    Args:
        runs: label -> name of the number -> curve.
    """
    panels = {
        "gradient_norm": "gradient norm",
        "update_ratio": "change of weights in an epoch, share",
        "dead_relus": "dead ReLUs, share",
        "weight_norm": "weight norm",
        "margin": "margin, nats",
        "calibration_error": "calibration error",
    }
    figure = figure_of(10, 5.6, left=0.75, right=0.15, bottom=0.55, top=0.7, wspace=0.32, hspace=0.45)
    for place, (name, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(2, 3, place)
        for number, (label, curves) in enumerate(runs.items()):
            curve = curves.get(name, {})
            style = {"color": SERIES[number % len(SERIES)], "linestyle": DASHES[number % len(DASHES)]}
            few = {"marker": MARKERS[number % len(MARKERS)], "markersize": 3} if len(curve) <= 30 else {}
            axes.plot(list(curve), list(curve.values()), label=label, **style, **few)
        positive = [value for curves in runs.values() for value in curves.get(name, {}).values() if value > 0]
        if name in ("gradient_norm", "update_ratio") and positive:
            axes.set_yscale("log")
            axes.set_ylim(max(min(positive), max(positive) * 1e-10) / 2, max(positive) * 2)
        axes.set_title(title, fontsize=10, loc="left")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        if place > 3:
            axes.set_xlabel("epoch")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="upper center", ncols=len(labels), fontsize=10)
    return figure


def accuracies(runs: Mapping[str, tuple[float, float, float]]) -> Any:
    """Test accuracy of each run with its interval.

    Args:
        runs: label -> share, and the ends of its interval.
    """
    figure = figure_of(9, 0.42 * len(runs) + 0.9, left=2.6, right=0.3, bottom=0.55, top=0.1)
    axes = figure.add_subplot()
    for place, (share, low, high) in enumerate(runs.values()):
        axes.plot([100 * low, 100 * high], [place, place], color=SERIES[0], linewidth=2.5, solid_capstyle="butt")
        axes.plot([100 * share], [place], "o", color=SERIES[0], markersize=7)
    axes.set_yticks(range(len(runs)), list(runs))
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.set_xlabel("test accuracy, %")
    axes.spines[["left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(alpha=0.25)
    return figure
