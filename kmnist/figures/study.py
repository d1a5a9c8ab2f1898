"""Pictures of a study. Each takes the table of its trials: columns ``trial``, ``state``, ``value``, ..., and settings.

Trials that were pruned are drawn hollow or grey: they are part of what was learnt, but of fewer epochs.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from kmnist.figures.style import as_png, figure_of

COLOURS = {"COMPLETE": "#1f77b4", "PRUNED": "#9a9a9a", "FAIL": "#c23b22", "RUNNING": "#e0a030"}
BEST_COLOUR, MAP = "#d95f02", "viridis"


@as_png
def study_history(trials: pd.DataFrame, metric: str, maximise: bool) -> Any:
    """The value of each trial and the best so far, over the trials."""
    figure = figure_of(10, 4.6, left=0.85, right=0.2, bottom=0.6, top=0.45)
    axes = figure.add_subplot()
    _scatter(axes, trials, trials["trial"])
    best = trials.dropna(subset=["best_so_far"]).sort_values("ended")
    running_best = best.set_index("trial")["best_so_far"].sort_index()
    running_best = running_best.cummax() if maximise else running_best.cummin()
    axes.step(running_best.index, running_best, where="post", color=BEST_COLOUR, label="best so far")
    failed = trials[trials["state"] == "FAIL"]
    _limit(axes, trials, maximise)
    if len(failed):
        floor = axes.get_ylim()[0]
        axes.plot(
            failed["trial"],
            [floor] * len(failed),
            "x",
            color=COLOURS["FAIL"],
            label=f"failed ({len(failed)})",
            clip_on=False,
        )
    axes.set_xlabel("trial")
    axes.set_ylabel(f"{metric}, best epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


@as_png
def study_curves(trials: pd.DataFrame, curves: Mapping[int, Mapping[int, float]], metric: str, maximise: bool) -> Any:
    """The metric of each trial by epoch; a pruned trial's curve is grey and ends in a cross.

    Args:
        trials: the table.
        curves: trial -> epoch -> value.
        metric: its name.
        maximise: whether more is better.
    """
    figure = figure_of(10, 5.2, left=0.85, right=0.2, bottom=0.6, top=0.45)
    axes = figure.add_subplot()
    states = trials.set_index("trial")["state"]
    complete = trials[trials["state"] == "COMPLETE"]
    best = _best(complete, maximise)
    labels = {"PRUNED": f"pruned ({(states == 'PRUNED').sum()})", "COMPLETE": f"complete ({len(complete)})"}
    labels |= {"RUNNING": "running", "FAIL": "failed"}
    for number in sorted(curves, key=lambda number: (states[number] != "PRUNED", number == best)):
        curve, state = curves[number], str(states[number])
        if not curve:
            continue
        pruned = state == "PRUNED"
        label = f"best: trial {number}" if number == best else labels.pop(state, None)
        style = {
            "color": BEST_COLOUR if number == best else COLOURS[state],
            "linewidth": 2.2 if number == best else 0.9,
        }
        axes.plot(list(curve), list(curve.values()), alpha=0.6 if pruned else 0.85, label=label, **style)
        if pruned or len(curve) == 1:
            axes.plot(max(curve), curve[max(curve)], "x" if pruned else ".", color=COLOURS[state], markersize=4)
    ends = pd.Series([curve[max(curve)] for curve in curves.values() if curve], dtype=float)
    _limit(axes, pd.DataFrame({"value": ends}), maximise)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


@as_png
def study_slices(trials: pd.DataFrame, settings: Mapping[str, bool], metric: str, maximise: bool) -> Any:
    """The value over each setting that was searched, one panel a setting.

    Args:
        trials: the table.
        settings: name of a column -> whether its axis is logarithmic.
        metric: its name.
        maximise: whether more is better.
    """
    columns = min(len(settings), 4) or 1
    rows = ceil(len(settings) / columns) or 1
    figure = figure_of(
        3 * columns + 1, 2.7 * rows + 0.6, left=0.85, right=0.2, bottom=0.6, top=0.45, wspace=0.12, hspace=0.42
    )
    for place, (name, log) in enumerate(settings.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        there = trials[trials[name].notna()]
        _scatter(axes, there, _axis(axes, there[name], log), labels=place == 1)
        _limit(axes, trials, maximise)
        axes.set_xlabel(name)
        axes.grid(alpha=0.25)
        if (place - 1) % columns:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel(metric)
    if settings and figure.axes[0].get_legend_handles_labels()[1]:
        figure.legend(frameon=False, ncols=4, loc="upper center", handles=figure.axes[0].get_legend_handles_labels()[0])
    return figure


@as_png
def study_parallel(trials: pd.DataFrame, settings: Mapping[str, bool], metric: str, maximise: bool) -> Any:
    """One line a trial over all settings, coloured by its value; pruned trials grey. Arguments as for slices."""
    from matplotlib.colors import Normalize

    figure = figure_of(max(1.5 * (len(settings) + 1) + 1, 8), 5, left=0.9, right=0.9, bottom=0.75, top=0.35)
    axes = figure.add_subplot()
    names = [*settings, metric]
    heights, tops = {}, {}
    for name in names:
        column = trials["value"] if name == metric else trials[name]
        heights[name], tops[name] = _unit(column, settings.get(name, False))
    known = trials["value"].dropna()
    low, high = (
        (known.quantile(0.2 if maximise else 0), known.quantile(1 if maximise else 0.8)) if len(known) else (0, 1)
    )
    colour = _colours(Normalize(float(low), max(float(high), float(low) + 1e-9)), maximise)
    order = trials.sort_values("value", ascending=maximise, na_position="first")
    for index, trial in order.iterrows():
        if trial["state"] not in ("COMPLETE", "PRUNED"):
            continue
        complete = trial["state"] == "COMPLETE"
        line = pd.Series([heights[name].loc[index] for name in names]).dropna()  # past settings that it has not
        axes.plot(
            line.index, line, color=colour(trial["value"]) if complete else "#b0b0b0",
            alpha=0.9 if complete else 0.6, linewidth=1.6 if complete else 0.7, zorder=2 if complete else 1,
        )  # fmt: skip
    for place, name in enumerate(names):
        axes.axvline(place, color="#444444", linewidth=0.8, zorder=3)
        for height, label in tops[name]:
            axes.text(
                place + 0.03,
                height,
                label,
                fontsize=8,
                va="center",
                zorder=4,
                bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5},
            )
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(names) - 0.75)
    axes.spines[:].set_visible(False)
    return figure


@as_png
def study_importances(importances: Mapping[str, float], metric: str) -> Any:
    """How much of the variance of the value each setting explains."""
    figure = figure_of(8, 0.45 * max(len(importances), 2) + 1.1, left=1.6, right=0.6, bottom=0.6, top=0.35)
    axes = figure.add_subplot()
    if not importances:
        axes.axis("off")
        axes.text(0.4, 0.5, "too few complete trials to tell", ha="center")
        return figure
    names = list(importances)[::-1]
    bars = axes.barh(names, [importances[name] for name in names], color=COLOURS["COMPLETE"])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlabel(f"share in the variance of {metric} over the complete trials")
    return figure


@as_png
def study_timeline(trials: pd.DataFrame) -> Any:
    """When each trial ran, and how it ended."""
    figure = figure_of(10, min(max(0.16 * len(trials), 2) + 1.2, 12), left=0.7, right=0.2, bottom=0.6, top=0.45)
    axes = figure.add_subplot()
    begin = trials["started"].min()
    ended = trials["ended"].fillna(trials[["started", "ended"]].max().max())
    for state, colour in COLOURS.items():
        of_state = trials[trials["state"] == state]
        if len(of_state):
            left = (of_state["started"] - begin).dt.total_seconds() / 60
            width = (ended[of_state.index] - of_state["started"]).dt.total_seconds() / 60
            axes.barh(
                of_state["trial"],
                width,
                left=left,
                height=0.8,
                color=colour,
                label=f"{state.lower()} ({len(of_state)})",
            )
    axes.set_xlabel("minutes since the first trial began")
    axes.set_ylabel("trial")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _scatter(axes: Any, trials: pd.DataFrame, x: Any, labels: bool = True) -> None:
    for state in ("PRUNED", "RUNNING", "COMPLETE"):
        there = (trials["state"] == state) & trials["value"].notna()
        if there.any():
            face = COLOURS[state] if state == "COMPLETE" else "none"
            label = f"{state.lower()} ({there.sum()})" if labels else None
            axes.scatter(
                x[there], trials["value"][there], s=22, facecolors=face, edgecolors=COLOURS[state], label=label
            )


def _limit(axes: Any, trials: pd.DataFrame, maximise: bool) -> None:
    """Leave the worst fifth of the values outside, if they would press the others flat."""
    values = trials["value"].dropna()
    if len(values) < 5:
        return
    low, high = (values.quantile(0.2), values.max()) if maximise else (values.min(), values.quantile(0.8))
    room = (high - low) * 0.6 or 1e-3
    lowest, highest = max(values.min(), low - room), min(values.max(), high + room)
    axes.set_ylim(lowest - room * 0.15, highest + room * 0.15)


def _axis(axes: Any, column: Any, log: bool) -> Any:
    """Place a column along the horizontal axis: choices side by side, in their order of size."""
    if log:
        _log_axis(axes, decades=float(np.log10(column.max() / column.min())))
    if pd.api.types.is_numeric_dtype(column):
        return column
    choices = _choices(column)
    axes.set_xticks(range(len(choices)), choices, rotation=20 if max(map(len, choices)) > 8 else 0, ha="center")
    axes.set_xlim(-0.5, len(choices) - 0.5)
    return column.map(lambda value: choices.index(str(value)))


def _log_axis(axes: Any, decades: float) -> None:
    """A logarithmic axis with few, plain labels, even over less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5) if decades < 1.3 else (1, 3) if decades < 2.2 else (1,), numticks=6)
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _unit(column: Any, log: bool) -> tuple[Any, Sequence[tuple[float, str]]]:
    """A column on the scale 0..1, and the labels of that scale."""
    if not pd.api.types.is_numeric_dtype(column):
        choices = _choices(column)
        last = max(len(choices) - 1, 1)
        heights = column.map(lambda value: choices.index(str(value)) / last, na_action="ignore").astype(float)
        return heights, [(place / last, text) for place, text in enumerate(choices)]
    values = np.log(column.astype(float)) if log else column.astype(float)
    low, high = values.min(), values.max()
    span = (high - low) or 1.0
    different = np.unique(values.dropna())
    ticks = different if len(different) <= 5 else np.linspace(low, high, 5)
    return (values - low) / span, [(float((t - low) / span), f"{np.exp(t) if log else t:.3g}") for t in ticks]


def _choices(column: Any) -> list[str]:
    return sorted({str(value) for value in column.dropna()})


def _colours(scale: Any, maximise: bool) -> Any:
    from matplotlib import colormaps

    chosen = colormaps[MAP if maximise else f"{MAP}_r"]
    return lambda value: chosen(scale(value))


def _best(complete: pd.DataFrame, maximise: bool) -> int | None:
    """The trial with the best value; the first of equals."""
    ordered = complete.sort_values(["value", "trial"], ascending=[not maximise, True])
    return int(ordered["trial"].iloc[0]) if len(ordered) else None
