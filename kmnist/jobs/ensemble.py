"""The course of an ensemble: its members found or trained, made one model, and that measured in a run of its own."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from kmnist import record
from kmnist.data import Dataset, load_dataset
from kmnist.ensembles.choose import choose
from kmnist.ensembles.config import VOTE, Kind
from kmnist.ensembles.network import Mean
from kmnist.errors import DataError, Incomplete, SettingError
from kmnist.experiment.checkpointer import split_metrics
from kmnist.experiment.ensemble import Member, answers, build_ensemble, held_out, require_members
from kmnist.experiment.ensemble_report import STEP, UNJUDGED, Built, log_ensemble
from kmnist.jobs.course import Places, View, open_course
from kmnist.jobs.ensemble_kinds import KINDS, Made, Plan
from kmnist.jobs.members import Training, fetch_member
from kmnist.metrics import Metrics
from kmnist.tracking import ENSEMBLE, MlflowRun, connect, parent_run, project_run, run_url, tag_runs
from kmnist.training.compute import set_threads
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.supervise import ReplacedWorkers


def run_vote(places: Places, view: View, names: Sequence[str], *, best: int | None, tta: int, name: str | None) -> None:
    """Make one model of trained ones, by soft voting. The same command again finds the run that it made.

    Args:
        places: where.
        view: is told about it.
        names: of the members: ids of their runs, or names of their models.
        best: take so many only, chosen greedily by the validation loss of their mean; ``None``: all.
        tta: see ``EnsembleConfig``.
        name: of the run; ``None``: what it is.

    Raises:
        DataError: the images that the members were trained on are not here.
        Incomplete: it is done, but the tracking server has not taken all of it.
        ModelError: a member is not there.
        SettingError: the members cannot be one model.
        TrackingError: the server does not answer.
    """
    set_threads(places.engine.threads or 1)
    client = connect(places.tracking_uri)
    made_by_project = project_run(client, ENSEMBLE)
    members = [fetch_member(client, name) for name in names]
    data = _data_of(members, tta, places)
    view.data(data)
    remarks = []
    if best is not None:
        valid = held_out(members, data)
        if not len(valid):
            raise SettingError(
                f"best={best}: each training image was learnt from by a member, so that none is left to choose by; "
                "train them with one --split-seed, and a --valid-fraction above 0, or let all of them vote"
            )
        taken = choose(answers(members, valid, tta), valid.labels, best)
        left_out = [member.run.run_id for place, member in enumerate(members) if place not in taken]
        remarks = [f"Chosen from {len(members)} by the loss on {len(valid):,} images, greedily: {len(taken)} members."]
        remarks += [f"Left out: {', '.join(f'`{run_id}`' for run_id in left_out)}."] if left_out else []
        members = [members[place] for place in taken]
        require_members(members, tta)
    about = [VOTE, tta, best, sorted(member.run.run_id for member in members)]
    tags = {
        record.KIND: record.KIND_ENSEMBLE,
        record.ENSEMBLE_ID: hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16],
    }
    name = name or f"vote of {len(members)}: {', '.join(dict.fromkeys(member.config.arch for member in members))}"
    entity = parent_run(client, places.experiment_name, data.spec.run_name(name), tags, made_by_project)
    if _is_there(client, entity, view):
        return
    count = len(members)
    made = Made(members, Mean([1.0] * count), [1 / count] * count, remarks)
    with MlflowRun(client, entity, places.work_dir / entity.info.run_id) as run:
        run.log_environment()
        run.describe(places.about)
        params = {"ensemble": VOTE, "members": str(count), "tta": str(tta)}
        _write(client, view, run, VOTE, made, tta, data, {**params, **({"best": str(best)} if best else {})})
    _end(client, view, entity, run, places)


def run_ensemble(places: Places, view: View, plan: Plan, name: str) -> None:
    """Train members as studies, and make one model of them.

    The studies are named by what is trained: the same command goes on where an earlier one was killed, and trains
    nothing again that is done.

    Args:
        places: where.
        view: is told about it.
        plan: the ensemble.
        name: of its run.

    Raises:
        Incomplete: it is done, or its members are, but the tracking server has not taken all of it.
        SettingError: the settings choose no epoch by validation, or do not fit the data.
        StudyError: it cannot be worked on, or fewer than two members were trained to their end.
    """
    set_threads(places.engine.threads or 1)
    with open_course(places, view) as course, ExitStack() as stack:
        client, made_by_project = course.client, project_run(course.client, ENSEMBLE)
        data = course.load(plan.dataset, plan.configs[0].reading)
        names = [plan.study_name(number, data, str(client.tracking_uri)) for number in range(len(plan.configs))]
        first: list[tuple[TrackedStudy, Any]] = []  # which made the ensemble's run, with that
        opened: list[MlflowRun] = []  # by the one command that writes it

        def above(study: TrackedStudy) -> TrackedStudy:
            if not first:
                entity = course.parent(study, data.spec.run_name(name), made_by_project, record.KIND_ENSEMBLE)
                if _is_there(client, entity, view):
                    raise _IsThere
                first.append((study, entity))
            [(made, entity)] = first
            study.optuna.set_user_attr("run_id", entity.info.run_id)
            return made

        def open_report() -> ReplacedWorkers:
            [(study, entity)] = first
            if not opened:
                run = MlflowRun(client, entity, places.work_dir / entity.info.run_id)
                opened.append(stack.enter_context(run))
                run.log_environment()
                run.describe(places.about)
            return ReplacedWorkers(study, opened[0])

        try:
            made = KINDS[plan.kind](plan, Training(course, data, open_report, above), names)
        except _IsThere:
            return
        [(_, entity)] = first
        if not opened:
            view.say(f"another command is at work on the same ensemble, run {entity.info.run_id}")
            return
        _write(client, view, opened[0], plan.kind, made, plan.tta, data, plan.as_params())
        stack.close()
        _end(client, view, entity, opened[0], places)


class _IsThere(Exception):
    """An earlier command has done it all."""


def _data_of(members: Sequence[Member], tta: int, places: Places) -> Dataset:
    """What members were trained on, compared with what is here."""
    spec, asked_for = require_members(members, tta), members[0].config.dataset
    name = spec.name if asked_for == "auto" else asked_for
    data = load_dataset(name, places.data_dir, progress=places.progress, **members[0].config.reading)
    if data.spec.digests != spec.digests:
        raise DataError(
            f"dataset={name}: the images here (SHA-256 of train {data.spec.digests['train'][:12]}) are not those of "
            f"the members ({spec.digests['train'][:12]}); use the same --data-dir"
        )
    return data


def _is_there(client: Any, entity: Any, view: View) -> bool:
    """Whether an earlier command has done it all."""
    if entity.info.status != "FINISHED":
        return False
    view.say(f"this ensemble is there already: {run_url(client, entity)}")
    return True


def _write(
    client: Any, view: View, run: MlflowRun, kind: Kind, made: Made, tta: int, data: Dataset, params: Mapping[str, str]
) -> None:
    """Make the model, link it with its members both ways, measure it."""
    members = made.members
    require_members(members, tta)
    valid = held_out(members, data)
    for line in made.remarks:
        view.say(line)
    run.log_params(params)
    run.log_tags({record.MEMBERS: ",".join(member.run.run_id for member in members)})
    tag_runs(client, [member.run.run_id for member in members], {f"{record.MEMBER_OF}{run.id}": kind})
    built = build_ensemble(kind, members, made.combination, tta, made.weights, valid)
    for place, member in enumerate(members):
        judged = built.judgement.members[place] if built.judgement else None
        named = split_metrics(f"member_{place + 1:02d}", judged) if judged else {}
        run.log_evaluated(member.model_id, valid, f"{data.spec.name}-{record.VALID}", named, STEP)
    test = log_ensemble(built, data, run, made.remarks)
    for line in _result(built, test):
        view.say(line)


def _result(built: Built, test: Metrics) -> list[str]:
    tested = f"{built.saved.config.arch}: test accuracy {test.accuracy:.2%}, loss {test.loss:.4f}"
    if not (judged := built.judgement):
        return [tested, UNJUDGED.replace("`", "")]
    return [
        tested,
        f"on {len(judged.images):,} images that no member was trained on: {judged.found.accuracy:.2%}, "
        f"{100 * judged.gain:+.2f} points over the best member, run {built.members[judged.best_member].run.run_id}; "
        f"two members differ on {judged.diversity:.2%}",
    ]


def _end(client: Any, view: View, entity: Any, run: MlflowRun, places: Places) -> None:
    run.discard_folder()
    view.say(run_url(client, entity))
    if not run.is_complete:
        raise Incomplete(f"made, but not all has arrived: kmnist sync --work-dir {places.work_dir}")
