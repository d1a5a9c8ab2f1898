"""``kmnist ensemble``"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from kmnist.cli.about import Note, Tags, about_run
from kmnist.cli.engine import EngineOptions
from kmnist.cli.options import (
    DataDir,
    ExperimentName,
    OneThread,
    Quiet,
    Storage,
    TrackingUri,
    TrainSettings,
    WorkDir,
    given_settings,
    require_writable_folder,
)
from kmnist.config import TrainConfig
from kmnist.ensembles.config import BAG, BOOST, MOST_MEMBERS, MOST_TTA, STACK, Kind
from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT

Tta = Annotated[
    int,
    Parameter(
        validator=Number(gte=0, lte=MOST_TTA),
        help="test-time augmentation: answer again for each picture shifted up, down, left and right by 1 to so many "
        "pixels, and take the mean; 0: none",
    ),
]

ensemble = App(name="ensemble", help="Make one model of several networks.", help_format="plaintext")


@Parameter(name="*")
@dataclass(frozen=True)
class Options:
    """What the commands that train members have in common."""

    experiment: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            show_default=False,
            help="YAML files of settings, for members of several kinds; settings on the command line win over them",
        ),
    ] = None
    members: Annotated[
        int, Parameter(validator=Number(gte=1, lte=MOST_MEMBERS), help="how many, of each experiment file")
    ] = 5
    tta: Tta = 0
    storage: Storage = "studies.log"
    data_dir: DataDir = Path("data")
    work_dir: WorkDir = Path("runs")
    tracking_uri: TrackingUri = None
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT
    run_name: Annotated[
        str | None, Parameter(show_default=False, help="name of the run in MLflow [default: what it is]")
    ] = None
    tag: Tags = None
    note: Note = None
    quiet: Quiet = False


@ensemble.command
def vote(
    members: Annotated[list[str], Parameter(consume_multiple=True)],
    *,
    best: Annotated[int | None, Parameter(validator=Number(gte=1), show_default=False)] = None,
    tta: Tta = 0,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    threads: OneThread = 1,
    tracking_uri: TrackingUri = None,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
    run_name: Annotated[str | None, Parameter(show_default=False)] = None,
    tag: Tags = None,
    note: Note = None,
    quiet: Quiet = False,
) -> None:
    """Make one model of trained ones: the mean of their probabilities.

    Nothing is trained. Members that were trained with one --split-seed have kept the same images, on which the gain
    over the best of them is measured.

    Parameters
    ----------
    members
        ids of runs, models:/NAME/VERSION or models:/NAME@ALIAS; several also as ID,ID
    best
        take so many only: the best one, then whoever helps the validation loss of all most, and so on
    run_name
        name of the run in MLflow [default: what it is]
    """
    require("tune", "kmnist ensemble vote")
    about = about_run(tag, note)
    require_writable_folder(work_dir)

    from kmnist.cli.ensemble_screen import EnsembleScreen
    from kmnist.jobs.course import Places
    from kmnist.jobs.engine import Engine
    from kmnist.jobs.ensemble import run_vote

    places = Places(
        storage="",  # it has no study
        tracking_uri=tracking_uri,
        experiment_name=experiment_name,
        data_dir=data_dir,
        work_dir=work_dir,
        engine=Engine(threads=threads),
        progress=not quiet,
        about=about,
    )
    names = [name for text in members for name in text.split(",") if name]
    run_vote(places, EnsembleScreen(quiet), names, best=best, tta=tta, name=run_name)


@ensemble.command
def bag(
    *,
    settings: TrainSettings | None = None,
    options: Options | None = None,
    workers: EngineOptions | None = None,
) -> None:
    """Train members on bootstrap samples of the training images; the model is the mean of their probabilities.

    The same command goes on where it was killed.
    """
    _train(BAG, settings, options or Options(), workers)


@ensemble.command
def boost(
    *,
    settings: TrainSettings | None = None,
    options: Options | None = None,
    workers: EngineOptions | None = None,
) -> None:
    """Train members one after the other, by SAMME: each learns most from images that those before it get wrong.

    It ends early with a member that makes no error on the training images: it is for nets that are small, or are
    trained shortly. The same command goes on where it was killed.
    """
    _train(BOOST, settings, options or Options(), workers)


@ensemble.command
def stack(
    *,
    settings: TrainSettings | None = None,
    options: Options | None = None,
    folds: Annotated[int, Parameter(validator=Number(gte=2, lte=99))] = 5,
    workers: EngineOptions | None = None,
) -> None:
    """Train members on all training images, and a logistic regression on what their twins say of images left out.

    For each member, a twin a fold is trained on all but that fold, and answers for it: --members 2 --folds 5 is twelve
    trainings. The same command goes on where it was killed.

    Parameters
    ----------
    folds
        parts of the training images, each of which a twin of each member is not shown
    """
    _train(STACK, settings, options or Options(), workers, folds)


def _train(
    kind: Kind, settings: TrainSettings | None, options: Options, workers: EngineOptions | None, folds: int = 5
) -> None:
    require("tune", f"kmnist ensemble {kind}")
    files: list[Path | None] = [*options.experiment] if options.experiment else [None]
    configs = tuple(TrainConfig.parse(given_settings([settings], file)) for file in files)
    about = about_run(options.tag, options.note)
    require_writable_folder(options.work_dir)
    engine = (workers or EngineOptions()).begin(options.tracking_uri)

    from kmnist.cli.ensemble_screen import EnsembleScreen
    from kmnist.jobs.course import Places
    from kmnist.jobs.ensemble import run_ensemble
    from kmnist.jobs.ensemble_kinds import Plan

    plan = Plan(kind, configs, options.members, options.tta, folds)
    places = Places(
        storage=options.storage,
        tracking_uri=options.tracking_uri,
        experiment_name=options.experiment_name,
        data_dir=options.data_dir,
        work_dir=options.work_dir,
        engine=engine,
        progress=not options.quiet,
        about=about,
    )
    what = ", ".join(f"{config.arch} {config.net.summary} e{config.epochs}" for config in configs)
    name = options.run_name or f"{kind} of {options.members * len(configs)}: {what}"
    run_ensemble(places, EnsembleScreen(options.quiet), plan, name)
