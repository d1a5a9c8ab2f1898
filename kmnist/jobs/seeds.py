"""The course of one training with several seeds: a study over the seed alone, whose runs are below one."""

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from kmnist.config import TrainConfig
from kmnist.jobs.course import Places, View, identity, open_course, require_sent
from kmnist.tracking import TRAIN, MlflowRun, project_run, run_page, run_url
from kmnist.tuning.confirm import confirmations_table, following, seeds_study
from kmnist.tuning.retry import wait_out
from kmnist.tuning.seeds_report import SeedsReport
from kmnist.tuning.supervise import ReplacedWorkers


def run_seeds(places: Places, view: View, name: str, config: TrainConfig, seeds: int) -> None:
    """Train the same settings with several seeds, the first of which is that of the settings.

    The study is named by what is trained: the same command goes on where an earlier one was killed, and trains
    nothing again that is done.

    Args:
        places: where.
        view: is told about it.
        name: of the run above.
        config: the settings.
        seeds: how many.

    Raises:
        Incomplete: it is done, but the tracking server has not taken all of it.
        StudyError: it cannot be worked on, or the storage has gone away for good.
    """
    with open_course(places, view) as course, ExitStack() as stack:
        made = project_run(course.client, TRAIN)
        data = course.load(config.dataset, config.reading)
        named = f"{config.arch}.seeds-{seeds}.{_digest(config, identity(data), str(course.client.tracking_uri))}"
        study = seeds_study(course.storage, named, config, following(config.seed, range(seeds)), identity(data))
        entity = course.parent(study, data.spec.run_name(name), made)
        task = replace(course.task(study, study, data), test=data.test)
        link: Callable[[str], str] = lambda run_id: run_page(entity.info.experiment_id, run_id)  # noqa: E731
        reports: list[SeedsReport] = []

        def open_report() -> ReplacedWorkers:
            run = MlflowRun(course.client, entity, places.work_dir / entity.info.run_id)
            stack.callback(run.discard_folder)  # after its end
            stack.enter_context(run).log_environment()
            run.describe(places.about)
            reports.append(SeedsReport(study, run, link))
            return ReplacedWorkers(study, run, reports[0])

        try:
            course.work_on(study, study, task, open_report)
        except KeyboardInterrupt:
            view.interrupted(study)
            raise
        table = confirmations_table(wait_out(study.trials))
        view.confirmed(table, reports[0].best(table) if reports and len(table) else None)
        stack.close()  # the run above ends before what waits is counted
        view.say(run_url(course.client, entity))
        require_sent(places, study)


def _digest(config: TrainConfig, *about: object) -> str:
    return hashlib.sha256(json.dumps([config.as_text(), *about]).encode()).hexdigest()[:12]
