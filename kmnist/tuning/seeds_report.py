"""What training the same settings with several seeds leaves in the run above them: mean, deviation, figure, note."""

from collections.abc import Callable, Sequence

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist import figures, record
from kmnist.experiment.note import sample_warning
from kmnist.settings import as_flags
from kmnist.text import markdown_table
from kmnist.tuning.confirm import confirmations_table
from kmnist.tuning.definition import TRAIN_LOSS
from kmnist.tuning.runs import StudyRun
from kmnist.tuning.study import TrackedStudy


class SeedsReport:
    """Writes a study over seeds into a run, again whenever another seed is done.

    Args:
        study: to write about.
        run: above those of the seeds.
        link: run id -> where a person finds that run.
    """

    def __init__(self, study: TrackedStudy, run: StudyRun, link: Callable[[str], str]) -> None:
        self._study, self._run, self._link = study, run, link
        self._written = 0
        run.log_params(study.definition.as_params())

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Log what is new. The standard deviation is that of a sample (n - 1), and absent with one seed."""
        table = confirmations_table(trials)
        if len(table) == self._written:
            return
        self._written = len(table)
        metric = self._study.definition.method.metric
        split = metric.partition("/")[0]
        numbers = {
            f"seeds/{split}_mean": table["value"].mean(),
            "seeds/test_accuracy_mean": table["test_accuracy"].mean(),
        }
        if len(table) > 1:
            numbers[f"seeds/{split}_std"] = table["value"].std(ddof=1)
            numbers["seeds/test_accuracy_std"] = table["test_accuracy"].std(ddof=1)
        self._run.log_metrics(numbers, len(table))
        self._run.log_file(table.to_csv(index=False).encode(), f"{record.REPORTS}/seeds.csv")
        self._run.log_file(figures.seeds(table, metric), f"{record.FIGURES}/seeds.png")
        self._run.log_note(self._note(table))
        if (best := self.best(table)) is not None:
            self._run.log_tags({record.OFFERED_RUN: best})

    def best(self, table: pd.DataFrame) -> str | None:
        """The run of the best seed on validation, the first of equals: the test split decides nothing.

        ``None``: there are no validation images that could tell.
        """
        if self._study.definition.method.metric == TRAIN_LOSS:
            return None
        order = table.sort_values("value", ascending=not self._study.definition.objective.maximise, kind="stable")
        return str(order["run_id"].iloc[0])

    def _note(self, table: pd.DataFrame) -> str:
        definition = self._study.definition
        metric, accuracy = definition.method.metric, table["test_accuracy"]
        spread = f", standard deviation {accuracy.std(ddof=1):.2%}" if len(table) > 1 else ""
        rows = [
            (f"[seed {row['seed']}]({self._link(row['run_id'])})", f"{row['value']:.4f}", f"{row['test_accuracy']:.2%}")
            for _, row in table.iterrows()
        ]
        config = definition.config({"seed": min(table["seed"])})
        return f"""{sample_warning(self._study.data["dataset"])}**{len(table)} of {self._study.budget.trials} seeds** \
of the same settings: test accuracy **{accuracy.mean():.2%}**{spread}.

{markdown_table(("", metric, "test accuracy"), rows)}

**Repeat it**: `kmnist train {as_flags(config.changed())} --seeds {self._study.budget.trials}`
"""
