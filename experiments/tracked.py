"""Trainings as runs of an experiment's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

from mlflow import MlflowClient

from kmnist import record
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import TrainOptions, prepare, train
from kmnist.record import TrackedRun
from kmnist.tracking import MlflowRun, create_run
from kmnist.tracking.read import read_run

TEST_ACCURACY = record.metric(record.TEST, "accuracy")


def train_tracked(
    client: MlflowClient,
    experiment: str,
    name: str,
    config: TrainConfig,
    data: Dataset,
    work_dir: Path,
    **options: Unpack[TrainOptions],
) -> TrackedRun:
    """Train, and give the run as it was tracked.

    Args:
        client: of the store.
        experiment: that the run belongs to.
        name: of the run; the seed is added.
        config: the settings.
        data: to train and to test on.
        work_dir: for the checkpoint and the journal.
        options: those of ``kmnist.experiment.train``.
    """
    entity = create_run(client, experiment, f"{name}, seed {config.seed}")
    with MlflowRun(client, entity, work_dir / entity.info.run_id) as run:
        run.log_environment()
        train(config, prepare(config, data), data.test, run, run.folder, **options)
    run.discard_folder()
    return read_run(client.get_run(run.id))


def train_missing(
    client: MlflowClient,
    experiment: str,
    groups: Mapping[str, Sequence[TrainConfig]],
    data: Dataset,
    work_dir: Path,
    **options: Unpack[TrainOptions],
) -> dict[str, list[TrackedRun]]:
    """The runs of all settings of each group; what is there with the same settings, and finished, is not trained again.

    Args:
        client, experiment, data, work_dir, options: as for :func:`train_tracked`.
        groups: settings by what their runs are named.
    """
    there = {run.config: run for run in _finished(client, experiment)}
    for name, configs in groups.items():
        for config in configs:
            if config not in there:
                run = there[config] = train_tracked(client, experiment, name, config, data, work_dir, **options)
                print(f"{run.name}: {run.metrics[TEST_ACCURACY]:.2%}", flush=True)
    return {name: [there[config] for config in configs] for name, configs in groups.items()}


def _finished(client: MlflowClient, experiment: str) -> list[TrackedRun]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs = client.search_runs([found.experiment_id], "attributes.status = 'FINISHED'", max_results=1000)
    return [read_run(run) for run in runs]
