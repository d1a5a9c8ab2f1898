"""What a study leaves in its own run: best value by trial, figures, table, the best settings, and a note."""

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from optuna import importance
from optuna.trial import FrozenTrial, TrialState

from kmnist import record
from kmnist.tuning.interactive import interactive_page
from kmnist.tuning.note import confirmation_note, study_note
from kmnist.tuning.runs import StudyRun
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.table import best_trial, chosen_of, trials_table

SHARE_OF_TIME = 0.01  # of the study's, that a renewal may take while it runs: the workers need the cores
LEAST_SECONDS = 20.0
PAGE_SECONDS = 2.0  # that the first page takes, imports included
LEAST_TRIALS = 10  # complete, before anything is said of what mattered


class _Pace:
    """When something that takes time is done again: the longer it took, and only if there is news.

    Args:
        seconds: that it is expected to take the first time, which waits for its share of time, too.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._next, self._news = time.monotonic() + seconds / SHARE_OF_TIME, 0

    def due(self, news: int) -> bool:
        """Whether there is more news than the last time, and that was long enough ago."""
        return news > self._news and time.monotonic() >= self._next

    @contextmanager
    def doing(self, news: int) -> Iterator[None]:
        """Around the work."""
        began = time.monotonic()
        yield
        now = time.monotonic()
        self._next, self._news = now + max(LEAST_SECONDS, (now - began) / SHARE_OF_TIME), news


class StudyReport:
    """Writes a study into a run, again and again while the study goes on.

    Args:
        study: to write about.
        run: the study's own.
        link: run id -> where a person finds that run.
    """

    def __init__(self, study: TrackedStudy, run: StudyRun, link: Callable[[str], str]) -> None:
        self._study, self._run, self._link = study, run, link
        self._logged: set[int] = set()
        self._summary, self._page = _Pace(), _Pace(PAGE_SECONDS)
        self._note = ""
        self._importances: dict[str, float] = {}
        run.log_params(study.definition.as_params())

    def __call__(self, trials: Sequence[FrozenTrial], *, final: bool) -> None:
        """Log what is new; draw when it is time to, or when nothing more will come."""
        news = sum(trial.state.is_finished() for trial in trials)
        if not final and news == len(self._logged) and not self._summary.due(news) and not self._page.due(news):
            return  # asked twice a second, of a study that may be long: no table without a use
        table = trials_table(trials, self._study.definition)
        ended = table[table["ended"].notna()].sort_values("ended")
        if news > len(self._logged):
            self._log_trials(ended)
        if len(table) and (final or self._summary.due(news)):
            with self._summary.doing(news):
                self._summarise(trials, table)
            if final and (best := best_trial(trials, self._study.definition)):
                self._mark(record.BEST_OF_STUDY, best.user_attrs["run_id"])
        if len(table) and (final or self._page.due(news)):
            with self._page.doing(news):
                page = interactive_page(self._study.optuna, self._study.definition, self._importances)
                self._run.log_file(page.encode(), f"{record.FIGURES}/interactive.html")

    def _log_trials(self, ended: pd.DataFrame) -> None:
        """Sums by the number of trials that have ended, values by the number of the trial.

        Stamped with the end of each trial, so that a command that goes on with the study logs the same points.
        """
        metric = self._study.definition.method.metric.replace("/", "_")
        full = self._study.definition.epochs
        trained = saved = 0
        for place, (_, row) in enumerate(ended.iterrows(), start=1):
            trained += row["epochs"]
            saved += full - row["epochs"] if row["state"] == "PRUNED" else 0
            number = int(row["trial"])
            if number in self._logged:
                continue
            numbers = {"study/epochs_trained": float(trained), "study/epochs_saved": float(saved)}
            if pd.notna(row["best_so_far"]):
                numbers[f"study/best_{metric}"] = float(row["best_so_far"])
            stamp = int(row["ended"].timestamp() * 1000)
            self._run.log_metrics(numbers, place, stamp)
            if pd.notna(row["value"]):
                self._run.log_metrics({f"study/trial_{metric}": float(row["value"])}, number, stamp)
            self._logged.add(number)

    def _summarise(self, trials: Sequence[FrozenTrial], table: pd.DataFrame) -> None:
        study, run, definition = self._study, self._run, self._study.definition
        self._importances = importances(study)
        self._note = study_note(study, trials, table, self._importances, self._link)
        run.log_note(self._note)
        run.log_file(table.to_csv(index=False).encode(), f"{record.REPORTS}/trials.csv")
        if best := best_trial(trials, definition):
            run.log_file(best_settings(study, best).encode(), f"{record.REPORTS}/best.yaml")
            run.log_tags({record.BEST_RUN: best.user_attrs["run_id"], record.BEST_TRIAL: str(best.number)})

    def confirm(self, table: pd.DataFrame) -> str:
        """Add what the best settings came to with other seeds (``confirmations_table``); gives the run to register."""
        accuracy = table["test_accuracy"]
        now = {"confirmed/test_accuracy_mean": accuracy.mean(), "confirmed/valid_mean": table["value"].mean()}
        if len(table) > 1:
            now["confirmed/test_accuracy_std"] = accuracy.std(ddof=1)
        self._run.log_metrics(now, len(table))
        self._run.log_file(table.to_csv(index=False).encode(), f"{record.REPORTS}/confirmation.csv")
        self._run.log_note(self._note + confirmation_note(self._study, table, self._link))
        offered = self._offered(table)
        self._run.log_tags({record.OFFERED_RUN: offered})
        self._mark(record.OFFERED, offered)
        return offered

    def _mark(self, tag: str, run_id: str) -> None:
        """Give a tag to one run, and take it from the one that had it when the study was shorter."""
        before = self._study.optuna.user_attrs.get(tag)
        if before not in (None, run_id):
            self._run.tag_run(before, {tag: "false"})
        self._study.optuna.set_user_attr(tag, run_id)
        self._run.tag_run(run_id, {tag: "true"})

    def _offered(self, table: pd.DataFrame) -> str:
        """The run to register: the best on validation; the test split decides nothing."""
        order = table.sort_values("value", ascending=not self._study.definition.objective.maximise, kind="stable")
        return str(order["run_id"].iloc[0])


def importances(study: TrackedStudy) -> dict[str, float]:
    """Share in the variance of the value, by setting that every complete trial has; empty of fewer than ten trials.

    By fANOVA (Hutter et al., 2014, https://proceedings.mlr.press/v32/hutter14.html), as Optuna has it.
    """
    complete = study.trials(TrialState.COMPLETE)
    if len(complete) < LEAST_TRIALS:
        return {}
    common = set.intersection(*(set(trial.params) for trial in complete))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = importance.FanovaImportanceEvaluator(seed=0)
            return importance.get_param_importances(study.optuna, params=sorted(common), evaluator=evaluator)
    except (ValueError, RuntimeError):  # all values are equal, or a setting has one value only
        return {}


def best_settings(study: TrackedStudy, best: FrozenTrial) -> str:
    """The settings of a trial as a file that ``kmnist train --experiment`` takes."""
    definition = study.definition
    config = definition.config(chosen_of(best, definition))
    settings = {**config.changed(), "dataset": study.data["dataset"]}
    head = f"# Trial {best.number} of study {study.name}: {definition.method.metric} {best.value:.4f}.\n"
    return head + "".join(f"{name}: {text}\n" for name, text in settings.items())
