"""A study: what it tried, what came best, and what that comes to with other seeds."""

import pandas as pd

from kmnist.figures import study_history
from kmnist.figures.style import render
from kmnist.record import TRIAL_COLUMNS, Objective
from kmnist.report.blocks import Block, Code, Figure, Paragraph, Section, Table, literal
from kmnist.report.source import BEST, CONFIRMED, TRIALS, Report
from kmnist.report.statistics import spread

MOST = 10


def study(report: Report) -> Section | None:
    """From the tables that it left in its own run."""
    of = report.study
    if of is None:
        return None
    trials, confirmed = of.table(TRIALS), of.table(CONFIRMED)
    if trials is None or not set(trials) >= set(TRIAL_COLUMNS):
        return Section("Study", [Paragraph(f"{of.name} has left no table of its trials yet.")])
    metric = of.run.params.get("metric", "valid/accuracy")
    maximise = Objective.of(metric).maximise
    states = trials["state"].value_counts()
    told = ", ".join(f"{count} {str(state).lower()}" for state, count in states.items())
    blocks: list[Block] = [
        Paragraph(
            f"{of.name} tried {len(trials)} settings ({told}), {trials['epochs'].sum():,} epochs in all, by {metric}."
        )
    ]
    best = trials[trials["state"] == "COMPLETE"].sort_values(["value", "trial"], ascending=[not maximise, True])[:MOST]
    if len(best):
        searched = [str(name) for name in trials if str(name) not in TRIAL_COLUMNS]
        rows = [
            [f"{row.trial}", f"{row.value:.4f}", f"{row.epochs}", *(_cell(row[name]) for name in searched)]
            for _, row in best.iterrows()
        ]
        blocks.append(
            Table(f"The best trials, by {metric}.", ["trial", "value", "epochs", *map(literal, searched)], rows)
        )
    if trials["value"].notna().any():
        drawing = render(study_history, trials, metric, maximise)
        top = f"The best is {best['value'].iloc[0]:.4f}." if len(best) else "None is complete."
        caption = "The value of each trial in its best epoch. Hollow: pruned, after fewer epochs."
        blocks.append(
            Figure("history", caption, f"A dot for each trial, and a line for the best so far. {top}", drawing)
        )
    if confirmed is not None and "test_accuracy" in confirmed and len(confirmed):
        seeds = len(confirmed)
        accuracy = spread([float(value) for value in confirmed["test_accuracy"]])
        again = f"{seeds} other {'seed' if seeds == 1 else 'seeds'}"
        text = f"The best settings, trained again with {again}: {accuracy} of the "
        blocks.append(
            Paragraph(text + "test images. What was the best of many looks better than it is; this does not.")
        )
    if BEST in of.files:
        blocks.append(
            Code("the best settings, a file for kmnist train --experiment", of.files[BEST].decode(errors="replace"))
        )
    return Section("Study", blocks, {"trials": len(trials), "states": {str(k): int(v) for k, v in states.items()}})


def _cell(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.4g}" if isinstance(value, float) else literal(str(value))
