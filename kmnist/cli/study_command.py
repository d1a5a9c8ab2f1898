"""The work behind ``kmnist tune``: opens everything, works on the study, confirms its best settings."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmnist.cli.options import see_that_it_can_be_written
from kmnist.cli.progress import Screen
from kmnist.cli.study_screen import StudyScreen
from kmnist.cli.study_worker import WorkerTask
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.datasets import load_dataset
from kmnist.errors import StudyError, root_reason
from kmnist.tracking import TUNE, MlflowRun, connect, parent_run, point_to, project_run, reopen_run, run_page, run_url
from kmnist.training import resolve_device
from kmnist.tuning.confirm import confirmation_of, confirmations_table
from kmnist.tuning.definition import Budget, parse
from kmnist.tuning.liveness import Session
from kmnist.tuning.report import StudyReport
from kmnist.tuning.storage import STORAGE_IS_AWAY, StudyStorage, open_storage
from kmnist.tuning.study import TrackedStudy, create_study, find_study, same_or_error
from kmnist.tuning.supervise import NoReport, Report, supervise
from kmnist.tuning.table import best_trial


@dataclass(frozen=True)
class StudyOptions:
    """The options of ``kmnist tune`` that do not decide what the study is."""

    storage: str
    tracking_uri: str | None
    experiment_name: str
    data_dir: Path
    work_dir: Path
    device: str
    workers: int
    threads: int
    quiet: bool


def run_study(options: StudyOptions, name: str | None, file: Path | None, given: Mapping[str, Any]) -> None:
    """Work on a study until it is over, and confirm what it found.

    Args:
        options: of the command.
        name: of the study; ``None``: a new one.
        file: that the settings are from.
        given: settings, method, budget and search that the user gave.

    Raises:
        StudyError: the study cannot be worked on, or its storage has gone away for good.
    """
    storage = open_storage(options.storage)
    try:
        _run_study(options, storage, name, file, given)
    except STORAGE_IS_AWAY as error:
        raise StudyError(
            f"storage {storage.shown} does not answer: {root_reason(error)}. Nothing is lost: when it is back, go on "
            "with the same command"
        ) from error


def _run_study(
    options: StudyOptions, storage: StudyStorage, name: str | None, file: Path | None, given: Mapping[str, Any]
) -> None:
    see_that_it_can_be_written(options.work_dir)
    device = resolve_device(options.device)
    client = connect(options.tracking_uri)
    made = project_run(client, TUNE)
    study = _open_study(options, storage, name, file, given)
    with study.lock():
        if "run_id" not in study.optuna.user_attrs:
            tags = {"study": study.name, "study.id": study.optuna.user_attrs["id"], "kind": "study"}
            parent = parent_run(client, options.experiment_name, f"study {study.name}", tags, made)
            study.optuna.set_user_attr("run_id", parent.info.run_id)
    entity = reopen_run(client, study.optuna.user_attrs["run_id"], finished_too=True)
    if made is not None:
        point_to(client, made, entity, f"study {study.name}")
    screen = StudyScreen(options.quiet)
    screen.study(study, entity.info.run_id)
    task = WorkerTask(
        storage=options.storage,
        tracking_uri=client.tracking_uri,
        parent_id=entity.info.run_id,
        data_dir=options.data_dir,
        work_dir=options.work_dir,
        device=str(device),
        threads=options.threads,
    )

    def work_on(worked_on: TrackedStudy, open_report: Callable[[], Report]) -> None:
        with Session(worked_on.optuna) as session, screen.trials(worked_on) as show:
            supervise(
                worked_on,
                session.id,
                task.spawn,
                options.workers,
                open_report=open_report,
                show=show,
                say=screen.say,
            )

    try:
        with ExitStack() as stack:
            reports: list[StudyReport] = []

            def open_report() -> StudyReport:
                run = MlflowRun(client, entity, options.work_dir / entity.info.run_id)
                stack.callback(run.discard_folder)  # after its end
                stack.enter_context(run).log_environment()
                reports.append(StudyReport(study, run, lambda run_id: run_page(entity.info.experiment_id, run_id)))
                return reports[0]

            work_on(study, open_report)
            best = best_trial(study.trials(), study.definition)
            screen.found(study, best)
            if reports and best is not None and (seeds := study.budget.confirm_seeds):
                confirmation = confirmation_of(study, best, seeds)
                work_on(confirmation, NoReport)
                table = confirmations_table(confirmation.trials())
                screen.confirmed(table, reports[0].confirm(table) if len(table) else None)
    except KeyboardInterrupt:
        screen.interrupted(study)
        raise
    screen.say(run_url(client, entity))


def _open_study(
    options: StudyOptions, storage: StudyStorage, name: str | None, file: Path | None, given: Mapping[str, Any]
) -> TrackedStudy:
    """The study that the user means, made if it is new, with the budget that they gave it now."""
    known = find_study(storage, name) if name else None
    if known is None:
        definition, budget = parse(given)
        data = _load(options, definition.settings.get("dataset", "auto"))
        what = file.stem if file else definition.settings.get("arch", "study")
        name = name or f"{what}-{time.strftime('%Y%m%d-%H%M%S')}"
        return create_study(storage, name, definition, budget, _identity(data))
    definition, _ = parse({**known.definition.flat(), **given})
    same_or_error(known, definition, known.data)  # before the data is looked at
    data = _load(options, known.data["dataset"])
    same_or_error(known, definition, _identity(data))
    changed = {field: given[field] for field in Budget.model_fields if field in given}
    known.set_budget(Budget.parse({**known.budget.as_text(), **changed}))
    return known


def _load(options: StudyOptions, name: str) -> Dataset:
    data = load_dataset(TrainConfig.parse({"dataset": name}).dataset, options.data_dir, progress=not options.quiet)
    Screen(options.quiet).data(data)
    return data


def _identity(data: Dataset) -> dict[str, str]:
    """What the trials of a study must have in common; the test split is not among it."""
    return {"dataset": data.name, "train SHA-256": data.train.digest()}
