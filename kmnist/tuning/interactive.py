"""Optuna's interactive figures on one page that needs no network."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna import visualization
from plotly.io import to_html

from kmnist.tuning.definition import Definition

HEAD = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<style>body {{ font-family: sans-serif; margin: 1em auto; max-width: 1100px; }}</style></head><body>
<h1>Study {name}</h1>
"""


def interactive_page(study: optuna.Study, definition: Definition) -> str:
    """HTML with the study's history, curves, slices, parallel coordinates, importances and timeline."""
    metric = definition.method.metric
    plots: list[Callable[[], Any]] = [
        lambda: visualization.plot_optimization_history(study, target_name=metric),
        lambda: visualization.plot_intermediate_values(study),
        lambda: visualization.plot_slice(study, target_name=metric),
        lambda: visualization.plot_parallel_coordinate(study, target_name=metric),
        lambda: visualization.plot_param_importances(study, target_name=metric),
        lambda: visualization.plot_timeline(study),
    ]
    parts = [HEAD.format(name=study.study_name)]
    for plot in plots:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figure = plot()
        except (ValueError, RuntimeError, ZeroDivisionError):  # too few complete trials for it
            continue
        # The library itself goes into the page, once: a page that fetches it would be empty without a network.
        parts.append(to_html(figure, include_plotlyjs=len(parts) == 1, full_html=False))
    return "".join([*parts, "</body></html>\n"])
