"""The note of a study's own run: what a person reads first when they open it in MLflow. Markdown."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist.experiment.note import sample_warning
from kmnist.settings import to_text
from kmnist.text import markdown_table
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.table import best_trial, chosen_of

LEADERS = 10


def study_note(
    study: TrackedStudy,
    trials: Sequence[FrozenTrial],
    table: pd.DataFrame,
    importances: Mapping[str, float],
    link: Callable[[str], str],
) -> str:
    """How far the study is, its best trials with links to their runs, which settings mattered, and how to go on."""
    definition = study.definition
    metric = definition.method.metric
    counts = table["state"].value_counts()
    states = ", ".join(
        f"{counts[state]} {state.lower()}" for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING") if state in counts
    )
    trained, pruned = int(table["epochs"].sum()), table[table["state"] == "PRUNED"]
    saved = int((definition.epochs - pruned["epochs"]).sum())
    share = f" ({saved / (saved + trained):.0%} of what the same trials would have taken)" if saved else ""
    leaders = table[(table["state"] == "COMPLETE") & (table["epochs"] > 0)].sort_values(  # no repetitions
        ["value", "trial"], ascending=[not definition.objective.maximise, True]
    )
    names = list(definition.search)
    chosen = {trial.number: chosen_of(trial, definition) for trial in trials}
    rows = [
        (
            f"[{row['trial']}]({link(row['run_id'])})",
            f"{row['value']:.4f}",
            f"{row['best_epoch']:.0f} of {row['epochs']}",
            *(_short(chosen[row["trial"]].get(name)) for name in names),
        )
        for _, row in leaders.head(LEADERS).iterrows()
    ]
    board = markdown_table(("trial", metric, "best epoch", *names), rows)
    mattered = ", ".join(f"`{name}` {weight:.0%}" for name, weight in importances.items())
    counted = f"{(table['state'] == 'COMPLETE').sum()} complete trials"
    searched = "\n".join(f"- `{name}`: {found}" for name, found in definition.search.items())
    fixed = ", ".join(f"`{name}={text}`" for name, text in definition.settings.items())
    best = best_trial(trials, definition)
    repeat = "Take `reports/best.yaml` and type `kmnist train --experiment best.yaml`." if best else ""
    return f"""{sample_warning(study.data["dataset"])}**Study `{study.name}`**: {len(table)} of \
{study.budget.trials} trials ({states}); {trained:,} epochs trained, {saved:,} saved by pruning{share}.

{board if rows else "No trial is complete yet."}

{f"**What mattered** (share in the variance of {metric}, by fANOVA over {counted}): {mattered}." if mattered else ""}

**Searched** with `{definition.method.sampler}` and `{definition.method.pruner}`, on {metric} of the validation split:

{searched}

**Fixed**: {fixed}; the rest has its default.

**The best settings again.** {repeat} **Go on** with the study: `kmnist tune --study {study.name} --trials N`.
"""


def confirmation_note(study: TrackedStudy, table: pd.DataFrame, link: Callable[[str], str]) -> str:
    """A section for the note of the study that was confirmed: each seed, mean and standard deviation on test."""
    metric = study.definition.method.metric
    rows = [
        (f"[seed {row['seed']}]({link(row['run_id'])})", f"{row['value']:.4f}", f"{row['test_accuracy']:.2%}")
        for _, row in table.iterrows()
    ]
    accuracy = table["test_accuracy"]
    return f"""
**Confirmed** with {len(table)} other seeds: test accuracy **{accuracy.mean():.2%}**, standard deviation \
{accuracy.std(ddof=1) if len(table) > 1 else 0:.2%}. The best of them on validation is the one to register.

{markdown_table(("", metric, "test accuracy"), rows)}
"""


def _short(value: object) -> str:
    if value is None:  # the architecture has no such setting
        return ""
    return f"{value:.4g}" if isinstance(value, float) else to_text(value)
