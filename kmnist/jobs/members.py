"""Members of an ensemble, fetched from where they were trained, and trained as studies over seeds and folds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import FrozenTrial

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.errors import ModelError
from kmnist.experiment.ensemble import Member
from kmnist.jobs.course import Course, identity, require_sent
from kmnist.record import model_uri
from kmnist.registry import fetch
from kmnist.tracking.read import read_run, runs_by_id
from kmnist.training.fit import Weights
from kmnist.tuning.confirm import seeds_study
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.supervise import Report


def fetch_member(client: Any, name: str) -> Member:
    """A member by the id of its run, or by any name of its model that the tracking server knows.

    Raises:
        ModelError: there is no such model, or it is of no run.
        TrackingError: the server does not answer.
    """
    uri = name if ":/" in name else model_uri(name)
    found = fetch(uri, tracking_uri=client.tracking_uri)
    if found.run_id is None or found.model_id is None:
        raise ModelError(f"{name}: is of no run on this server; a member is named by its run, or models:/NAME/VERSION")
    [run] = runs_by_id(client, [found.run_id])
    return Member(read_run(run), found.saved, found.model_id)


@dataclass(frozen=True)
class Trained:
    """What a study of members has come to.

    Attributes:
        runs: (seed, subset) -> id of the run, of those that were trained to their end.
        left_out: a line for each other one.
    """

    runs: dict[tuple[int, str], str]
    left_out: list[str]


@dataclass(frozen=True)
class Training:
    """Trains members below one run.

    Attributes:
        course: at work on their studies.
        data: that they are trained on.
        open_report: called when this command becomes the one that writes the ensemble's run.
        above: gives the study that has the run above those of a study.
    """

    course: Course
    data: Dataset
    open_report: Callable[[], Report]
    above: Callable[[TrackedStudy], TrackedStudy]

    def __call__(
        self,
        name: str,
        config: TrainConfig,
        seeds: list[int],
        subsets: tuple[str, ...] = (),
        weights: Weights | None = None,
    ) -> Trained:
        """Train with each of the seeds, on each of the subsets; what is trained already is not trained again.

        Args:
            name: of the study.
            config: the settings.
            seeds: the members'.
            subsets: see :func:`kmnist.tuning.confirm.seeds_study`.
            weights: of the images.

        Raises:
            Incomplete: a member has not arrived at the tracking server.
            StudyError: it cannot be worked on.
        """
        course = self.course
        study = seeds_study(course.storage, name, config, seeds, identity(self.data), subsets=subsets)
        above = self.above(study)
        task = course.task(study, above, self.data)
        try:
            course.work_on(study, above, replace(task, test=self.data.test, weights=weights), self.open_report)
        except KeyboardInterrupt:
            course.view.interrupted(study)
            raise
        require_sent(course.places, study)
        runs, left_out = {}, []
        for trial in study.trials():
            seed, subset = trial.params["seed"], trial.params.get("subset", config.subset)
            if "test_accuracy" in trial.user_attrs and trial.value is not None:
                runs[seed, subset] = trial.user_attrs["run_id"]
            else:
                left_out.append(f"seed {seed}, subset {subset}: {_reason(trial)}")
        return Trained(dict(sorted(runs.items())), left_out)  # workers end in any order


def _reason(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get("reason") or f"ended as {trial.state.name}")
