"""``kmnist train``"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.about import Note, Tags, about_run
from kmnist.cli.engine import EngineOptions
from kmnist.cli.options import (
    DataDir,
    ExperimentName,
    Quiet,
    Storage,
    TrackingUri,
    TrainSettings,
    WorkDir,
    given_settings,
    require_writable_folder,
    run_folder,
)
from kmnist.config import TrainConfig
from kmnist.errors import CheckpointError, Incomplete, SettingError
from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT


def train(
    *,
    settings: TrainSettings | None = None,
    experiment: Annotated[Path | None, Parameter(show_default=False)] = None,
    resume: Annotated[str | None, Parameter(metavar="RUN_ID", show_default=False)] = None,
    data_dir: DataDir = Path("data"),
    work_dir: WorkDir = Path("runs"),
    seeds: Annotated[int | None, Parameter(validator=Number(gte=1), show_default=False)] = None,
    workers: EngineOptions | None = None,
    storage: Storage = "studies.log",
    tracking_uri: TrackingUri = None,
    experiment_name: ExperimentName = DEFAULT_EXPERIMENT,
    run_name: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None,
    tag: Tags = None,
    note: Note = None,
    diagnostics: Annotated[bool, Parameter(negative="--no-diagnostics")] = True,
    quiet: Quiet = False,
) -> None:
    """Train a network and track it.

    Parameters
    ----------
    experiment
        YAML file of settings; those on the command line win over it
    resume
        id of a run to go on with after its last whole epoch, as if it had never stopped
    seeds
        train the same settings with so many seeds, below one run with their mean and deviation: --seed and the next
    run_name
        name of the run in MLflow [default: what it is]
    diagnostics
        measure gradients, updates, dead ReLUs, margins and calibration after each epoch; changes no other number
    """
    require("train", "kmnist train")
    given, about = given_settings([settings], experiment), about_run(tag, note)
    options = workers or EngineOptions()
    if seeds is not None:
        if resume is not None:
            raise SettingError(f"seeds={seeds}: is not for --resume; the same command without it goes on by itself")
        require("tune", "kmnist train --seeds")
        config = TrainConfig.parse(given)
        require_writable_folder(work_dir)
        engine = options.begin(tracking_uri)

        from kmnist.cli.seeds import train_seeds
        from kmnist.jobs.course import Places

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
        name = run_name or f"{_run_name(config, experiment)} and {seeds - 1} more seeds"
        train_seeds(places, name, config, seeds, quiet=quiet)
        return
    device, threads = options.for_one()
    if resume is not None:
        from kmnist.checkpoint import load_checkpoint
        from kmnist.experiment.train import resumed_compute

        checkpoint = load_checkpoint(run_folder(work_dir, resume))
        config, computed = checkpoint.config, checkpoint.compute
        _refuse_other_settings(config, given, resume)
        checkpoint = replace(checkpoint, compute=resumed_compute(checkpoint, device, threads))
    else:
        checkpoint = None
        config = TrainConfig.parse(given)

    # Imported here, once the settings are known to be good: together they take seconds.
    from kmnist.checkpoint import FILE_NAME
    from kmnist.cli.progress import Screen
    from kmnist.data import load_dataset
    from kmnist.experiment import prepare
    from kmnist.experiment import train as train_experiment
    from kmnist.registry import fetch_initial
    from kmnist.tracking import MlflowRun, SystemMetrics, check_params, connect, create_run, reopen_run, run_url
    from kmnist.training.compute import resolve_device
    from kmnist.training.fit import Epoch

    screen = Screen(quiet)
    require_writable_folder(work_dir)
    chosen_device = checkpoint.compute.device if checkpoint else str(resolve_device(device))
    client = connect(tracking_uri)
    data = load_dataset(config.dataset, data_dir, progress=not quiet, **config.reading)
    screen.data(data)
    splits = prepare(config, data, checkpoint)
    initial = None if checkpoint else fetch_initial(config, tracking_uri=client.tracking_uri)
    if checkpoint is not None:
        entity = reopen_run(client, checkpoint.run_id)
    else:
        name = run_name or _run_name(config, experiment)
        entity = create_run(client, experiment_name, data.spec.run_name(name))
    check_params(entity, config)

    run = MlflowRun(client, entity, work_dir / entity.info.run_id)
    screen.run(entity.info.run_id)
    try:
        with run, screen.epochs(config, checkpoint) as show:

            def on_epoch(epoch: Epoch, best: Epoch) -> None:
                show(epoch, best)
                screen.tracking(run)

            run.log_environment()
            run.describe(about)
            if checkpoint and checkpoint.compute != computed:
                run.log_tags(checkpoint.compute.as_tags())
                screen.computes(computed, checkpoint.compute)
            result = train_experiment(
                config,
                splits,
                data.test,
                run,
                run.folder,
                device=chosen_device,
                threads=threads,
                initial=initial,
                resume=checkpoint,
                measure_load=SystemMetrics().sample,
                on_epoch=on_epoch,
                diagnostics=diagnostics,
            )
    except KeyboardInterrupt:
        screen.interrupted(run, work_dir, resumable=(run.folder / FILE_NAME).exists())
        raise
    run.discard_folder()
    screen.result(result, data, run_url(client, entity))
    if not run.is_complete:
        raise Incomplete(f"trained, but {screen.unsent(run, work_dir)}")


def _run_name(config: TrainConfig, file: Path | None) -> str:
    """What the run is, after the name of its file."""
    return f"{file.stem}: {config.title}" if file else config.title


def _refuse_other_settings(config: TrainConfig, given: dict[str, str], run_id: str) -> None:
    wanted = TrainConfig.parse({**config.as_text(), **given}).as_text()
    differing = [
        f"{name} is {text}, not {wanted[name]}" for name, text in config.as_text().items() if wanted[name] != text
    ]
    if differing:
        raise CheckpointError(
            f"run {run_id} was started with other settings: {'; '.join(differing)}. "
            "Resume it without them, or start a new run"
        )
