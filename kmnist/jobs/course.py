"""What the courses of all studies have in common: where they are, who works on them, and the run of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist import record
from kmnist.data import Dataset, Reading, load_dataset
from kmnist.errors import Incomplete, StudyError, root_reason
from kmnist.jobs.engine import Engine, Seat
from kmnist.jobs.executor import Executor
from kmnist.jobs.reach import from_anywhere, require_reachable
from kmnist.jobs.worker import WorkerTask
from kmnist.registry import fetch_initial
from kmnist.tracking import connect, list_pending, parent_run, point_to, reopen_run
from kmnist.tuning.liveness import Session
from kmnist.tuning.pool import Job
from kmnist.tuning.retry import STORAGE_IS_AWAY, wait_out
from kmnist.tuning.storage import StudyStorage, open_storage
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.supervise import Report, supervise
from kmnist.tuning.worker import Worker


class View(Protocol):
    """What a person sees of a study."""

    def data(self, data: Dataset) -> None:
        """What is trained on."""

    def study(self, study: TrackedStudy, run_id: str) -> None:
        """What is about to be worked on."""

    def trials(self, study: TrackedStudy) -> AbstractContextManager[Callable[[Sequence[FrozenTrial]], None]]:
        """Gives a function that shows the trials as they are."""

    def found(self, study: TrackedStudy, best: FrozenTrial | None) -> None:
        """The best trial."""

    def confirmed(self, table: pd.DataFrame, offered: str | None) -> None:
        """What its settings came to with other seeds."""

    def interrupted(self, study: TrackedStudy) -> None:
        """How to go on."""

    def say(self, line: str) -> None:
        """Anything else."""


@dataclass(frozen=True)
class Places:
    """Where a study is worked on: nothing of it decides what the study is.

    Attributes:
        storage: address of the studies.
        tracking_uri: of MLflow's server or database.
        experiment_name: that a new study's runs belong to.
        data_dir: of the data set's files.
        work_dir: for checkpoints and journals.
        engine: what carries the workers.
        progress: whether a download shows a bar.
        about: tags that the user gives the study's run and those below it, with ``record.NOTE`` a note of the former.
    """

    storage: str
    tracking_uri: str | None
    experiment_name: str
    data_dir: Path
    work_dir: Path
    engine: Engine
    progress: bool
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """A command at work on studies.

    Attributes:
        places: where.
        view: is told about it.
        storage: of the studies.
        client: of the tracking server.
        executor: starts the workers.
        seats: what each of them computes with.
    """

    places: Places
    view: View
    storage: StudyStorage
    client: Any
    executor: Executor
    seats: list[Seat]

    def load(self, name: str, reading: Reading) -> Dataset:
        """A data set, as it is asked for; of your own, read so.

        Raises:
            DataError: it cannot be had.
        """
        data = load_dataset(name, self.places.data_dir, progress=self.places.progress, **reading)
        self.view.data(data)
        return data

    def parent(self, study: TrackedStudy, name: str, made: Any = None, kind: str = record.KIND_STUDY) -> Any:
        """The run above those of a study, made once; ``made`` is one that ``mlflow run`` has made for it.

        Raises:
            TrackingError: it cannot be had.
        """
        wait_out(lambda: self._make_parent(study, name, made, kind))
        run_id = wait_out(lambda: str(study.optuna.user_attrs["run_id"]))
        entity = reopen_run(self.client, run_id, finished_too=True)
        if made is not None:
            point_to(self.client, made, entity, name)
        self.view.study(study, entity.info.run_id)
        return entity

    def _make_parent(self, study: TrackedStudy, name: str, made: Any, kind: str) -> None:
        with study.lock():
            if "run_id" not in study.optuna.user_attrs:
                tags = {
                    record.STUDY: study.name,
                    record.STUDY_ID: study.optuna.user_attrs["id"],
                    record.KIND: kind,
                }
                parent = parent_run(self.client, self.places.experiment_name, name, tags, made)
                wait_out(lambda: study.optuna.set_user_attr("run_id", parent.info.run_id))  # it is made once
            if about := {key: text for key, text in self.places.about.items() if key != record.NOTE}:
                study.optuna.set_user_attr("tags", {**study.tags, **about})

    def task(self, study: TrackedStudy, above: TrackedStudy, data: Dataset) -> WorkerTask:
        """What workers are told of a search; ``above`` is the study that has the run above those of its trials."""
        return WorkerTask(
            storage=self.storage.address,
            study=study.name,
            tracking_uri=from_anywhere(self.client.tracking_uri),
            parent_id=above.optuna.user_attrs["run_id"],
            tags=above.tags,
            work_dir=self.places.work_dir.absolute(),
            data=data.without_test(),
            initial=fetch_initial(study.definition.config({}), tracking_uri=self.client.tracking_uri),
        )

    def work_on(
        self, study: TrackedStudy, above: TrackedStudy, task: WorkerTask, open_report: Callable[[], Report]
    ) -> None:
        """Have it worked on until its budget is met; ``above`` as in :meth:`task`.

        Raises:
            StudyError: workers die one after the other, or the storage has not answered for long.
        """
        with Session(study.optuna) as session, self.view.trials(study) as show:

            def spawn(worker: str, place: int) -> Job:
                seat = self.seats[place]
                return self.executor.start(task, Worker(worker, session.id, seat.device, seat.threads))

            supervise(
                study,
                session.id,
                spawn,
                len(self.seats),
                above=above,
                open_report=open_report,
                show=show,
                say=self.view.say,
            )


@contextmanager
def open_course(places: Places, view: View) -> Iterator[Course]:
    """Open all that a study needs.

    Raises:
        StudyError: the storage does not answer, cannot be reached by all workers, or has gone away for good.
        TrackingError: the tracking server does not answer.
    """
    storage = open_storage(places.storage)
    try:
        with places.engine.open() as executor:
            seats = places.engine.seats(executor)
            client = connect(places.tracking_uri)
            require_reachable(executor, storage, client.tracking_uri)
            yield Course(places, view, storage, client, executor, seats)
    except STORAGE_IS_AWAY as error:
        raise StudyError(
            f"storage {storage.shown} does not answer: {root_reason(error)}. Nothing is lost: when it is back, go on "
            "with the same command"
        ) from error


def identity(data: Dataset) -> dict[str, str]:
    """What the trials of a study must have in common; the test split is not among it."""
    return {"dataset": data.spec.name, "train SHA-256": data.train.digest}


def require_sent(places: Places, study: TrackedStudy) -> None:
    """See that the tracking server has everything; what another command is at work on is that one's to tell of.

    Raises:
        Incomplete: it has not.
    """
    runs = {study.optuna.user_attrs["run_id"], *(trial.user_attrs.get("run_id") for trial in study.trials())}
    waiting = [found for found in list_pending(places.work_dir) if found.run_id in runs and not found.in_use]
    if waiting:
        raise Incomplete(
            f"the tracking server has not taken all of {len(waiting)} runs of the study; nothing is lost: it waits in "
            f"{places.work_dir}. Send it with: kmnist sync --work-dir {places.work_dir}"
        )
