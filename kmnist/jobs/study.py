"""The course of a study: opens everything, has it worked on, confirms what it found, and has it written down."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.jobs.course import Course, Places, View, identity, open_course, require_sent
from kmnist.tracking import TUNE, MlflowRun, project_run, run_page, run_url
from kmnist.tuning.confirm import confirmation_of, confirmations_table
from kmnist.tuning.definition import Budget, parse
from kmnist.tuning.report import StudyReport
from kmnist.tuning.retry import wait_out
from kmnist.tuning.study import TrackedStudy, create_study, find_study, require_same
from kmnist.tuning.supervise import ReplacedWorkers
from kmnist.tuning.table import best_trial


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
    with open_course(places, view) as course:
        made = project_run(course.client, TUNE)
        study, data = _open_study(course, name, file, given)
        _work(course, study, data, made)
        require_sent(places, study)


def _work(course: Course, study: TrackedStudy, data: Dataset, made: Any) -> None:
    client, view = course.client, course.view
    entity = course.parent(study, f"study {study.name}", made)
    task = course.task(study, study, data)
    try:
        with ExitStack() as stack:
            opened: list[tuple[StudyReport, MlflowRun]] = []

            def open_report() -> ReplacedWorkers:
                run = MlflowRun(client, entity, course.places.work_dir / entity.info.run_id)
                stack.callback(run.discard_folder)  # after its end
                stack.enter_context(run).log_environment()
                run.describe(course.places.about)
                report = StudyReport(study, run, lambda run_id: run_page(entity.info.experiment_id, run_id))
                opened.append((report, run))
                return ReplacedWorkers(study, run, report)

            course.work_on(study, study, task, open_report)
            best = best_trial(wait_out(study.trials), study.definition)
            wait_out(lambda: view.found(study, best))
            if opened and best is not None and (seeds := study.budget.confirm_seeds):
                [(report, run)] = opened
                confirmation = confirmation_of(study, best, seeds)
                task = replace(task, study=confirmation.name, test=data.test)
                course.work_on(confirmation, study, task, lambda: ReplacedWorkers(study, run))
                table = confirmations_table(confirmation.trials())
                view.confirmed(table, report.confirm(table) if len(table) else None)
    except KeyboardInterrupt:
        view.interrupted(study)
        raise
    view.say(run_url(client, entity))


def _open_study(
    course: Course,
    name: str | None,
    file: Path | None,
    given: Mapping[str, Any],
) -> tuple[TrackedStudy, Dataset]:
    """The study that the user means, made if it is new, with the budget that they gave it now; and its data."""
    known = wait_out(partial(find_study, course.storage, name)) if name else None
    if known is None:
        definition, budget = parse(given)
        data = course.load(definition.dataset, TrainConfig.reading_of(definition.settings))
        name = name or f"{file.stem if file else definition.archs[0]}-{time.strftime('%Y%m%d-%H%M%S')}"
        return wait_out(partial(create_study, course.storage, name, definition, budget, identity(data))), data
    definition, _ = parse({**known.definition.flat(), **given})
    require_same(known, definition, known.data)  # before the data is looked at
    data = course.load(_as_asked_for(known), TrainConfig.reading_of(known.definition.settings))
    require_same(known, definition, identity(data))
    changed = {field: given[field] for field in Budget.model_fields if field in given}
    budget = wait_out(lambda: known.budget)
    wait_out(partial(known.set_budget, Budget.parse({**budget.as_text(), **changed})))
    return known, data


def _as_asked_for(study: TrackedStudy) -> str:
    """The data set of a study, by the name or path that was given; not ``auto``, which may be another one today."""
    return study.data["dataset"] if study.definition.dataset == "auto" else study.definition.dataset
