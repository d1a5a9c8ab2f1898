"""The figures of a study: Optuna's own, interactive, on one page that needs no network."""

import gzip
import html
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import optuna
from optuna import visualization
from optuna.trial import TrialState

from kmnist.tuning.definition import Definition

SETTINGS_IN_A_ROW = 4  # of the slices: Optuna would put all into one, wider than any window
#: The library goes into the page, once: one that fetches it would be empty without a network. Packed, it takes 2 MB
#: instead of 4.8. A browser runs a script that is put into the page at once, before the next statement.
PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 1em auto; padding: 0 1em; max-width: 1400px; }}</style></head><body>
<h1>{title}</h1>
<p id="wait">The figures need JavaScript, and a browser from 2023 or later.</p>
<script id="library" type="text/plain">{library}</script>
<script id="figures" type="application/json">[{figures}]</script>
<script>
const text = (id) => document.getElementById(id).textContent;
const packed = Uint8Array.from(atob(text("library")), (char) => char.charCodeAt(0));
const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
new Response(unpacked).text().then((code) => {{
  document.head.append(Object.assign(document.createElement("script"), {{textContent: code}}));
  for (const {{data, layout}} of JSON.parse(text("figures"))) {{
    const place = document.body.appendChild(document.createElement("div"));
    Plotly.newPlot(place, data, layout, {{responsive: true}});
  }}
  document.getElementById("wait").remove();
}});
</script></body></html>
"""


def interactive_page(study: optuna.Study, definition: Definition, importances: Mapping[str, float]) -> str:
    """HTML with the study's history, curves, slices, parallel coordinates, importances and timeline.

    Args:
        study: to draw.
        definition: of it.
        importances: by setting; empty: they are not drawn.
    """
    figures = []
    for plot in _plots(study, definition.method.metric, importances):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                figure = plot()
        except (ValueError, RuntimeError, ZeroDivisionError):  # too few complete trials for it
            continue
        figure.update_layout(width=None, autosize=True)
        figures.append(figure.to_json().replace("<", "\\u003c"))  # no text of a study ends the script
    title = html.escape(f"Study {study.study_name}")
    return PAGE.format(title=title, library=_library(), figures=",".join(figures))


def _plots(study: optuna.Study, metric: str, importances: Mapping[str, float]) -> Iterator[Callable[[], Any]]:
    yield lambda: visualization.plot_optimization_history(study, target_name=metric)
    yield lambda: visualization.plot_intermediate_values(study)
    searched = sorted({name for trial in study.get_trials(deepcopy=False) for name in trial.params})
    for first in range(0, len(searched), SETTINGS_IN_A_ROW):
        row = searched[first : first + SETTINGS_IN_A_ROW]
        yield partial(visualization.plot_slice, study, params=row, target_name=metric)
    yield lambda: visualization.plot_parallel_coordinate(study, target_name=metric)
    if importances:
        yield lambda: _importances(importances, metric, len(study.get_trials(False, (TrialState.COMPLETE,))))
    yield lambda: visualization.plot_timeline(study)


def _importances(importances: Mapping[str, float], metric: str, trials: int) -> Any:
    """Those that the note tells, too, with how many trials they rest on."""
    from plotly.graph_objects import Bar, Figure

    names = list(importances)[::-1]
    shares = [importances[name] for name in names]
    bars = Bar(x=shares, y=names, orientation="h", text=[f"{share:.0%}" for share in shares])
    figure = Figure(bars)
    figure.update_layout(title=f"Importances (fANOVA, {trials} complete trials)")
    figure.update_xaxes(title=f"share in the variance of {metric}", tickformat=".0%")
    return figure


@cache
def _library() -> str:
    from plotly.offline import get_plotlyjs

    return b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
