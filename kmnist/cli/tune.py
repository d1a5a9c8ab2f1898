"""``kmnist tune``"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kmnist.cli.about import Note, Tags, about_run
from kmnist.cli.engine import EngineOptions
from kmnist.cli.options import (
    BudgetSettings,
    DataDir,
    ExperimentName,
    FixedSettings,
    MethodSettings,
    Quiet,
    Storage,
    TrackingUri,
    WorkDir,
    given_settings,
    require_writable_folder,
)
from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT


def tune(
    *,
    settings: FixedSettings | None = None,
    method: MethodSettings | None = None,
    budget: BudgetSettings | None = None,
    study: Annotated[str | None, Parameter(metavar="NAME", env_var="KMNIST_STUDY", show_default=False)] = None,
    study_file: Annotated[Path | None, Parameter(show_default=False)] = None,
    workers: EngineOptions | None = None,
    storage: Storage = "studies.log",
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
    tag: Tags = None,
    note: Note = None,
    quiet: Quiet = False,
) -> None:
    """Search for good settings with Optuna: every trial is a run in MLflow, below the study's own.

    A setting that is given is fixed; the others are searched where they have a range. A study whose name exists is
    gone on with: nothing but a larger budget need be given.

    Parameters
    ----------
    study
        name of the study [default: architecture and time]
    study_file
        YAML file: settings, method, budget, and `search` with the ranges; what is given on the command line wins
    """
    require("tune", "kmnist tune")
    from kmnist.tuning.definition import parse

    given, about = given_settings([settings, method, budget], study_file), about_run(tag, note)
    if study is None:
        parse(given)  # what is wrong in it is said at once, before seconds of imports
    require_writable_folder(work_dir)

    engine = (workers or EngineOptions()).begin(tracking_uri)

    from kmnist.cli.study_screen import StudyScreen
    from kmnist.jobs.course import Places
    from kmnist.jobs.study import run_study

    places = Places(
        storage=storage,
        tracking_uri=tracking_uri,
        experiment_name=experiment_name,
        data_dir=data_dir,
        work_dir=work_dir,
        engine=engine,
        progress=not quiet,
        about=about,
    )
    run_study(places, StudyScreen(quiet), study, study_file, given)
