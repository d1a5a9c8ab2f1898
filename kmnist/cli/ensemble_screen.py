"""What a person sees of an ensemble whose members are trained."""

from kmnist.cli.study_screen import StudyScreen
from kmnist.tuning.study import TrackedStudy


class EnsembleScreen(StudyScreen):
    """That of a study, for each study of members."""

    def study(self, study: TrackedStudy, run_id: str) -> None:
        """What is about to be worked on."""
        if not self._quiet:
            self.say(
                f"study {study.name} in {study.storage.shown}, below run {run_id}: {study.budget.trials} trainings"
            )

    def interrupted(self, study: TrackedStudy) -> None:
        """How to go on."""
        self.say("interrupted; no epoch that was finished is lost. Go on with the same command")
