"""``kmnist tune``"""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kmnist.cli.options import (
    BudgetSettings,
    DataDir,
    FixedSettings,
    MethodSettings,
    Storage,
    TrackingUri,
    WorkDir,
    given_settings,
)
from kmnist.errors import SettingError


def tune(
    *,
    settings: FixedSettings | None = None,
    method: MethodSettings | None = None,
    budget: BudgetSettings | None = None,
    study: Annotated[str | None, Parameter(env_var="KMNIST_STUDY", show_default=False)] = None,
    study_file: Annotated[Path | None, Parameter(show_default=False)] = None,
    workers: int = 1,
    threads: Annotated[int | None, Parameter(show_default=False)] = None,
    storage: Storage = "studies.log",
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    device: str = "auto",
    tracking_uri: TrackingUri = None,
    experiment_name: Annotated[str, Parameter(env_var="MLFLOW_EXPERIMENT_NAME")] = "kmnist",
    quiet: bool = False,
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
    workers
        processes on this machine
    threads
        that each worker computes with [default: its share of the cores]
    storage
        file of studies, or postgresql://user@host/database, which any number of machines can share
    data_dir
        folder of the four KMNIST files, or where to download them to
    work_dir
        folder for checkpoints and for what the tracking server has not taken yet
    device
        auto, cpu, cuda, cuda:1, ...
    tracking_uri
        MLflow server or database [default: sqlite:///mlflow.db]
    experiment_name
        MLflow experiment that a new study belongs to
    quiet
        print the results only
    """
    from kmnist.tuning.definition import parse

    given = given_settings([settings, method, budget], study_file)
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise SettingError(f"{name}={number}: must be at least 1")
    threads = threads or max((os.cpu_count() or 1) // workers, 1)
    if study is None:
        parse(given)  # what is wrong in it is said at once, before seconds of imports

    from kmnist.cli.study_worker import warm_up

    warm_up()

    from kmnist.cli.study_command import StudyOptions, run_study

    options = StudyOptions(storage, tracking_uri, experiment_name, data_dir, work_dir, device, workers, threads, quiet)
    run_study(options, study, study_file, given)
