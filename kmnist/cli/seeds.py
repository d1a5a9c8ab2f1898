"""``kmnist train --seeds N``"""

import pandas as pd

from kmnist.cli.study_screen import StudyScreen
from kmnist.config import TrainConfig
from kmnist.jobs.course import Places
from kmnist.jobs.seeds import run_seeds
from kmnist.tuning.study import TrackedStudy


class SeedsScreen(StudyScreen):
    """What a person sees of one training with several seeds."""

    def study(self, study: TrackedStudy, run_id: str) -> None:
        """What is about to be worked on."""
        if not self._quiet:
            self.say(f"study {study.name} in {study.storage.shown}, run {run_id}: {study.budget.trials} seeds")

    def confirmed(self, table: pd.DataFrame, offered: str | None) -> None:
        """What the seeds came to."""
        if not len(table):
            self.say("no seed was trained to its end; look at their runs for the reasons")
            return
        self._seeds(f"{len(table)} seeds", table, offered)

    def interrupted(self, study: TrackedStudy) -> None:
        """How to go on."""
        self.say("interrupted; no epoch that was finished is lost. Go on with the same command")


def train_seeds(places: Places, name: str, config: TrainConfig, seeds: int, *, quiet: bool) -> None:
    """Train with several seeds, and say what they came to."""
    run_seeds(places, SeedsScreen(quiet), name, config, seeds)
