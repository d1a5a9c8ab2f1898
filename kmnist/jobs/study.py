"""The course of a study: opens everything, has it worked on, confirms what it found, and has it written down."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from optuna.trial import FrozenTrial

from kmnist import record
from kmnist.data import Dataset, load_dataset
from kmnist.errors import Incomplete, StudyError, root_reason
from kmnist.jobs.engine import Engine
from kmnist.jobs.executor import Executor
from kmnist.jobs.reach import require_reachable
from kmnist.jobs.worker import WorkerTask
from kmnist.registry import fetch_initial
from kmnist.tracking import (
    TUNE,
    MlflowRun,
    connect,
    list_pending,
    parent_run,
    point_to,
    project_run,
    reopen_run,
    run_page,
    run_url,
)
from kmnist.tuning.confirm import confirmation_of, confirmations_table
from kmnist.tuning.definition import Budget, parse
from kmnist.tuning.liveness import Session
from kmnist.tuning.pool import Job
from kmnist.tuning.report import StudyReport
from kmnist.tuning.storage import STORAGE_IS_AWAY, StudyStorage, open_storage
from kmnist.tuning.study import TrackedStudy, create_study, find_study, require_same
from kmnist.tuning.supervise import NoReport, Report, supervise
from kmnist.tuning.table import best_trial
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
    """

    storage: str
    tracking_uri: str | None
    experiment_name: str
    data_dir: Path
    work_dir: Path
    engine: Engine
    progress: bool


def run_study(places: Places, view: View, name: str | None, file: Path | None, given: Mapping[str, Any]) -> None:
    """Work on a study until it is over, and confirm what it found.

    Args:
        places: where.
        view: is told about it.
        name: of the study; ``None``: a new one.
        file: that the settings are from.
        given: settings, method, budget and search that the user gave.

    Raises:
        Incomplete: it is over, but the tracking server has not taken all of it.
        StudyError: the study cannot be worked on, or its storage has gone away for good.
    """
    storage = open_storage(places.storage)
    try:
        with places.engine.open() as executor:
            study = _run_study(places, view, storage, executor, name, file, given)
        runs = {study.optuna.user_attrs["run_id"], *(trial.user_attrs.get("run_id") for trial in study.trials())}
    except STORAGE_IS_AWAY as error:
        raise StudyError(
            f"storage {storage.shown} does not answer: {root_reason(error)}. Nothing is lost: when it is back, go on "
            "with the same command"
        ) from error
    # What another command is at work on is that one's to send, and to tell of.
    waiting = [found for found in list_pending(places.work_dir) if found.run_id in runs and not found.in_use]
    if waiting:
        raise Incomplete(
            f"the tracking server has not taken all of {len(waiting)} runs of the study; nothing is lost: it waits in "
            f"{places.work_dir}. Send it with: kmnist sync --work-dir {places.work_dir}"
        )


def _run_study(
    places: Places,
    view: View,
    storage: StudyStorage,
    executor: Executor,
    name: str | None,
    file: Path | None,
    given: Mapping[str, Any],
) -> TrackedStudy:
    seats = places.engine.seats(executor)
    client = connect(places.tracking_uri)
    require_reachable(executor, storage, client.tracking_uri)
    made = project_run(client, TUNE)
    study, data = _open_study(places, view, storage, name, file, given)
    with study.lock():
        if "run_id" not in study.optuna.user_attrs:
            tags = {
                record.STUDY: study.name,
                record.STUDY_ID: study.optuna.user_attrs["id"],
                record.KIND: record.KIND_STUDY,
            }
            parent = parent_run(client, places.experiment_name, f"study {study.name}", tags, made)
            study.optuna.set_user_attr("run_id", parent.info.run_id)
    entity = reopen_run(client, study.optuna.user_attrs["run_id"], finished_too=True)
    if made is not None:
        point_to(client, made, entity, f"study {study.name}")
    view.study(study, entity.info.run_id)
    task = WorkerTask(
        storage=places.storage,
        study=study.name,
        tracking_uri=client.tracking_uri,
        parent_id=entity.info.run_id,
        work_dir=places.work_dir.absolute(),
        data=data.without_test(),
        initial=fetch_initial(study.definition.config({}), tracking_uri=client.tracking_uri),
    )

    def work_on(worked_on: TrackedStudy, task: WorkerTask, open_report: Callable[[], Report]) -> None:
        with Session(worked_on.optuna) as session, view.trials(worked_on) as show:

            def spawn(worker: str, place: int) -> Job:
                seat = seats[place]
                return executor.start(task, Worker(worker, session.id, seat.device, seat.threads))

            supervise(
                worked_on,
                session.id,
                spawn,
                len(seats),
                open_report=open_report,
                show=show,
                say=view.say,
            )

    try:
        with ExitStack() as stack:
            reports: list[StudyReport] = []

            def open_report() -> StudyReport:
                run = MlflowRun(client, entity, places.work_dir / entity.info.run_id)
                stack.callback(run.discard_folder)  # after its end
                stack.enter_context(run).log_environment()
                reports.append(StudyReport(study, run, lambda run_id: run_page(entity.info.experiment_id, run_id)))
                return reports[0]

            work_on(study, task, open_report)
            best = best_trial(study.trials(), study.definition)
            view.found(study, best)
            if reports and best is not None and (seeds := study.budget.confirm_seeds):
                confirmation = confirmation_of(study, best, seeds)
                work_on(confirmation, replace(task, study=confirmation.name, test=data.test), NoReport)
                table = confirmations_table(confirmation.trials())
                view.confirmed(table, reports[0].confirm(table) if len(table) else None)
    except KeyboardInterrupt:
        view.interrupted(study)
        raise
    view.say(run_url(client, entity))
    return study


def _open_study(
    places: Places,
    view: View,
    storage: StudyStorage,
    name: str | None,
    file: Path | None,
    given: Mapping[str, Any],
) -> tuple[TrackedStudy, Dataset]:
    """The study that the user means, made if it is new, with the budget that they gave it now; and its data."""
    known = find_study(storage, name) if name else None
    if known is None:
        definition, budget = parse(given)
        data = _load(places, view, definition.dataset)
        name = name or f"{file.stem if file else definition.archs[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
        return create_study(storage, name, definition, budget, _identity(data)), data
    definition, _ = parse({**known.definition.flat(), **given})
    require_same(known, definition, known.data)  # before the data is looked at
    data = _load(places, view, _as_asked_for(known))
    require_same(known, definition, _identity(data))
    changed = {field: given[field] for field in Budget.model_fields if field in given}
    known.set_budget(Budget.parse({**known.budget.as_text(), **changed}))
    return known, data


def _as_asked_for(study: TrackedStudy) -> str:
    """The data set of a study, by the name or path that was given; not ``auto``, which may be another one today."""
    return study.data["dataset"] if study.definition.dataset == "auto" else study.definition.dataset


def _load(places: Places, view: View, name: str) -> Dataset:
    data = load_dataset(name, places.data_dir, progress=places.progress)
    view.data(data)
    return data


def _identity(data: Dataset) -> dict[str, str]:
    """What the trials of a study must have in common; the test split is not among it."""
    return {"dataset": data.spec.name, "train SHA-256": data.train.digest}
