"""The same settings with several seeds."""

from typing import Any

import pandas as pd

from kmnist.figures.style import as_png, figure_of

COLOURS = {"train": "#1b9e77", "valid": "#d95f02", "test": "#1f77b4"}


@as_png
def seeds(table: pd.DataFrame, metric: str) -> Any:
    """What each seed came to, with mean and standard deviation.

    Args:
        table: columns ``seed``, ``value`` and ``test_accuracy``, a row a seed.
        metric: what ``value`` is.
    """
    figure = figure_of(10, 4.4, left=0.95, right=0.2, bottom=0.6, top=0.45, wspace=0.25)
    judged_on = metric.partition("/")[0]
    which = "last" if judged_on == "train" else "best"
    for place, (column, label, split) in enumerate(
        (("value", f"{metric}, {which} epoch", judged_on), ("test_accuracy", "test accuracy", "test")), start=1
    ):
        axes, values = figure.add_subplot(1, 2, place), table[column]
        positions = range(len(table))
        mean, spread = values.mean(), values.std(ddof=1) if len(table) > 1 else 0.0
        axes.axhspan(mean - spread, mean + spread, color=COLOURS[split], alpha=0.12, label="standard deviation")
        axes.axhline(mean, color=COLOURS[split], linestyle=":", label=f"mean {mean:.4f}")
        axes.plot(positions, values, "o", color=COLOURS[split])
        axes.set_xticks(positions, [str(seed) for seed in table["seed"]])
        axes.set_xlabel("seed")
        axes.set_ylabel(label)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure
