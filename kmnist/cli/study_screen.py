"""What a person sees of a study."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from optuna.trial import FrozenTrial
from rich.progress import Progress

from kmnist.cli.bar import progress
from kmnist.cli.printer import Printer
from kmnist.cli.progress import Screen
from kmnist.data import Dataset
from kmnist.settings import as_flags
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.table import best_trial, chosen_of

Show = Callable[[Sequence[FrozenTrial]], None]


class StudyScreen(Printer):
    """One bar for a study; without a terminal, a line for each trial that has ended; quiet, results only."""

    def data(self, data: Dataset) -> None:
        """What is trained on."""
        Screen(self._quiet).data(data)

    def study(self, study: TrackedStudy, run_id: str) -> None:
        """What is about to be worked on."""
        if not self._quiet:
            searched = ", ".join(study.definition.search)
            self.say(f"study {study.name} in {study.storage.shown}, run {run_id}; it searches {searched}")

    @contextmanager
    def trials(self, study: TrackedStudy) -> Iterator[Show]:
        """Gives a function that shows the trials as they are."""
        if self._quiet:
            yield lambda trials: None
        elif self._console.is_terminal:
            with progress(self._console) as bar:
                yield self._on_bar(study, bar)
        else:
            yield self._as_lines(study)

    def found(self, study: TrackedStudy, best: FrozenTrial | None) -> None:
        """The best trial, and the command that repeats it."""
        trials = study.trials()
        states = ", ".join(
            f"{count} {name}" for name in ("complete", "pruned", "fail") if (count := _count(trials, name))
        )
        epochs = sum(len(trial.intermediate_values) for trial in trials)
        self.say(f"study {study.name}: {states or 'no trial'}; {epochs:,} epochs")
        if best is None:
            self.say("no trial is complete: there is no best one; look at their runs for the reasons")
            return
        config = study.definition.config(chosen_of(best, study.definition))
        flags = as_flags(config.changed())
        self.say(f"best: trial {best.number}, {study.definition.method.metric} {best.value:.4f}: kmnist train {flags}")

    def confirmed(self, table: pd.DataFrame, offered: str | None) -> None:
        """What the best settings came to with other seeds; ``None`` is offered if all of them failed."""
        if offered is None:
            self.say(
                "the best settings could not be trained again; look at the runs of the confirmation for the reasons"
            )
            return
        self._seeds(f"confirmed with {len(table)} other seeds", table, offered)

    def interrupted(self, study: TrackedStudy) -> None:
        """How to go on."""
        self.say(
            f"interrupted; no epoch that was finished is lost. Go on with the same command and --study {study.name}"
        )

    def _seeds(self, what: str, table: pd.DataFrame, offered: str | None) -> None:
        accuracy = table["test_accuracy"]
        spread = f", standard deviation {accuracy.std(ddof=1):.2%}" if len(table) > 1 else ""
        self.say(f"{what}: test accuracy {accuracy.mean():.2%}{spread}")
        if offered is not None:
            self.say(f"the best of them on validation is run {offered}")

    def _on_bar(self, study: TrackedStudy, bar: Progress) -> Show:
        what = "confirming" if study.definition.confirms else "trials"
        task = bar.add_task(what, total=study.budget.trials, numbers=(), seconds=0, since=0)

        def show(trials: Sequence[FrozenTrial]) -> None:
            best = best_trial(trials, study.definition)
            numbers = [f"best {best.value:.4f} (trial {best.number})"] if best else []
            numbers += [f"{name} {_count(trials, name)}" for name in ("running", "pruned")]
            numbers.append(f"failed {_count(trials, 'fail')}")
            ended = sum(trial.state.is_finished() for trial in trials)
            bar.update(task, completed=ended, numbers=numbers)

        return show

    def _as_lines(self, study: TrackedStudy) -> Show:
        said: set[int] = set()

        def show(trials: Sequence[FrozenTrial]) -> None:
            for trial in trials:
                if trial.state.is_finished() and trial.number not in said:
                    said.add(trial.number)
                    complete = f"complete, {study.definition.method.metric} {trial.value or 0:.4f}"
                    end = trial.user_attrs.get("reason") or complete
                    best = best_trial(trials, study.definition)
                    so_far = f"; best {best.value:.4f} (trial {best.number})" if best else ""
                    self.say(f"trial {trial.number}: {end}{so_far}")

        return show


def _count(trials: Sequence[FrozenTrial], state: str) -> int:
    return sum(trial.state.name == state.upper() for trial in trials)
