"""The course of a study, for a report; its own page has Optuna's figures.

Trials that were pruned are drawn hollow: they are part of what was learnt, but of fewer epochs.
"""

from typing import Any

import pandas as pd

from kmnist.figures.style import as_png, figure_of

COLOURS = {"COMPLETE": "#1f77b4", "PRUNED": "#9a9a9a", "FAIL": "#c23b22", "RUNNING": "#e0a030"}
BEST_COLOUR = "#d95f02"


@as_png
def study_history(trials: pd.DataFrame, metric: str, maximise: bool) -> Any:
    """The value of each trial and the best so far, over the trials: a table with ``TRIAL_COLUMNS``."""
    figure = figure_of(10, 4.6, left=0.85, right=0.2, bottom=0.6, top=0.45)
    axes = figure.add_subplot()
    _scatter(axes, trials)
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


def _scatter(axes: Any, trials: pd.DataFrame) -> None:
    for state in ("PRUNED", "RUNNING", "COMPLETE"):
        there = (trials["state"] == state) & trials["value"].notna()
        if there.any():
            face = COLOURS[state] if state == "COMPLETE" else "none"
            label = f"{state.lower()} ({there.sum()})"
            x, y = trials["trial"][there], trials["value"][there]
            axes.scatter(x, y, s=22, facecolors=face, edgecolors=COLOURS[state], label=label)


def _limit(axes: Any, trials: pd.DataFrame, maximise: bool) -> None:
    """Leave the worst fifth of the values outside, if they would press the others flat."""
    values = trials["value"].dropna()
    if len(values) < 5:
        return
    low, high = (values.quantile(0.2), values.max()) if maximise else (values.min(), values.quantile(0.8))
    room = (high - low) * 0.6 or 1e-3
    lowest, highest = max(values.min(), low - room), min(values.max(), high + room)
    axes.set_ylim(lowest - room * 0.15, highest + room * 0.15)
