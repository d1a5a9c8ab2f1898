"""The commands from Python: what ``kmnist.train``, ``kmnist.tune`` and ``kmnist.evaluate`` are.

They track as the commands do, print nothing, and give back what they came to. ``load_model`` and ``load_network`` are
``kmnist.registry``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kmnist.extras import require
from kmnist.record import DEFAULT_EXPERIMENT, model_uri

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial

    from kmnist.data import Dataset
    from kmnist.experiment.results import Result
    from kmnist.metrics import Metrics
    from kmnist.training.fit import Epoch
    from kmnist.tuning.study import TrackedStudy


@dataclass(frozen=True)
class TrainedRun:
    """A training and where it is tracked.

    Attributes:
        run_id: of its run in MLflow.
        result: its epochs, the best of them, and the metrics on the test split.
        is_complete: whether the tracking server has taken all of it; else ``kmnist sync`` sends the rest.
    """

    run_id: str
    result: Result
    is_complete: bool

    @property
    def model(self) -> str:
        """The name of its model, as ``load_model`` and ``load_network`` take it."""
        return model_uri(self.run_id)


@dataclass(frozen=True)
class TunedStudy:
    """What a study came to.

    Attributes:
        name: of the study: with it, a later call goes on.
        run_id: of the study's own run in MLflow.
        settings: the best trial's, those that are not the defaults: ``train(**settings)`` repeats it. ``None``: no
            trial is complete.
        value: the best trial's, of the study's metric on the validation split.
        offered: the run to register: of the best settings with another seed. ``None``: no seed was asked for, or all
            of them failed.
    """

    name: str
    run_id: str
    settings: dict[str, str] | None
    value: float | None
    offered: str | None


def train(
    *,
    data_dir: str | Path = "data",
    work_dir: str | Path = "runs",
    tracking_uri: str | None = None,
    experiment_name: str = DEFAULT_EXPERIMENT,
    run_name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    on_epoch: Callable[[Epoch, Epoch], None] | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a network and track it, as ``kmnist train`` does.

    Example:
        >>> import kmnist
        >>> run = kmnist.train(arch="plain", hidden="16", epochs=2, dataset="sample")
        >>> len(run.result.epochs), 0 <= run.result.test.accuracy <= 1
        (2, True)
        >>> kmnist.load_model(run.model).spec.name
        'sample'

    Args:
        data_dir: folder of the data set's files, or where to download them to.
        work_dir: for checkpoints and for what the tracking server has not taken yet.
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.
        experiment_name: MLflow experiment of the run.
        run_name: of the run; ``None``: its settings.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: of the CPU; ``None``: as many as trial steps show to be fastest, up to ``OMP_NUM_THREADS``.
        on_epoch: is called after each with it and the best so far; what it raises ends the training.
        settings: those of ``kmnist train --help``, with ``_`` for ``-``.

    Raises:
        SettingError: a setting is unknown or out of its range.
        DataError: the data set cannot be had.
        TrackingError: the tracking server cannot be used.
        TrainingDiverged: the loss is no longer a number.
        MissingExtra: the extra ``train`` is not installed.
    """
    require("train", "kmnist.train")
    from kmnist.config import TrainConfig

    config = TrainConfig.parse(settings)

    from kmnist.data import load_dataset
    from kmnist.environment import set_environment
    from kmnist.experiment import prepare
    from kmnist.experiment import train as train_experiment
    from kmnist.registry import fetch_initial
    from kmnist.tracking import MlflowRun, SystemMetrics, check_params, connect, create_run
    from kmnist.training.compute import resolve_device

    set_environment()
    chosen = resolve_device(device)
    client = connect(tracking_uri)
    data = load_dataset(config.dataset, Path(data_dir), progress=False, **config.reading)
    splits = prepare(config, data)
    initial = fetch_initial(config, tracking_uri=client.tracking_uri)
    entity = create_run(client, experiment_name, data.spec.run_name(run_name or config.title))
    check_params(entity, config)
    run = MlflowRun(client, entity, Path(work_dir) / entity.info.run_id)
    with run:
        run.log_environment()
        result = train_experiment(
            config,
            splits,
            data.test,
            run,
            run.folder,
            device=str(chosen),
            threads=threads,
            initial=initial,
            measure_load=SystemMetrics().sample,
            on_epoch=on_epoch or _ignore,
        )
    run.discard_folder()
    return TrainedRun(run.id, result, run.is_complete)


def tune(
    *,
    study: str | None = None,
    storage: str = "studies.log",
    workers: int | Literal["auto"] = 1,
    data_dir: str | Path = "data",
    work_dir: str | Path = "runs",
    tracking_uri: str | None = None,
    experiment_name: str = DEFAULT_EXPERIMENT,
    **settings: Any,
) -> TunedStudy:
    """Search for good settings, as ``kmnist tune`` does: every trial is a run below the study's own.

    Workers are processes that import the calling program anew: a script calls it below
    ``if __name__ == "__main__":``.

    Example:
        >>> import kmnist
        >>> found = kmnist.tune(
        ...     study="small", hidden="16", epochs=1, dataset="sample", pruner="none", trials=2, confirm_seeds=0
        ... )
        >>> found.name, 0 <= found.value <= 1
        ('small', True)

    Args:
        study: its name; one that exists is gone on with. ``None``: a new one.
        storage: file of studies, or ``postgresql://user@host/database``.
        workers: how many at once.
        data_dir: folder of the data set's files, or where to download them to.
        work_dir: for checkpoints and for what the tracking server has not taken yet.
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.
        experiment_name: MLflow experiment of a new study's runs.
        settings: those of ``kmnist tune --help``, with ``_`` for ``-``: what is given is fixed; ``search`` holds
            ranges as a study's file does.

    Raises:
        SettingError: a setting is unknown or out of its range, or nothing is left to search.
        StudyError: the study cannot be worked on.
        Incomplete: it is over, but the tracking server has not taken all of it.
        MissingExtra: the extra ``tune`` is not installed.
    """
    require("tune", "kmnist.tune")
    from kmnist.environment import set_environment
    from kmnist.jobs.course import Places
    from kmnist.jobs.engine import Engine
    from kmnist.jobs.study import run_study

    set_environment()
    places = Places(
        storage=storage,
        tracking_uri=tracking_uri,
        experiment_name=experiment_name,
        data_dir=Path(data_dir),
        work_dir=Path(work_dir),
        engine=Engine(workers=workers),
        progress=False,
    )
    view = _Kept()
    run_study(places, view, study, None, settings)
    return TunedStudy(view.name, view.run_id, view.settings, view.value, view.offered)


def evaluate(
    model: str,
    data: str,
    *,
    split: Literal["test", "valid", "train"] = "test",
    data_dir: str | Path = "data",
    tracking_uri: str | None = None,
) -> Metrics:
    """Measure a model on labelled pictures; nothing is tracked (``kmnist evaluate`` does that).

    Example:
        >>> import kmnist
        >>> run = kmnist.train(arch="plain", hidden="16", epochs=1, dataset="sample")
        >>> kmnist.evaluate(run.model, "sample") == run.result.test
        True

    Args:
        model: as ``load_model`` takes it.
        data: name of a data set, or the path of labelled pictures in any form that ``kmnist train --dataset`` takes.
        split: of a data set; ``valid`` and ``train``: as the model's own training split it.
        data_dir: folder of the data set's files, or where to download them to.
        tracking_uri: MLflow server or database; ``None`` is MLflow's own choice.

    Raises:
        ModelError: the model cannot be loaded.
        DataError: the data set cannot be had, or has other classes or another shape than the model.
        PictureError: a picture cannot be read.
        MissingExtra: the extra ``train`` is not installed.
    """
    require("train", "kmnist.evaluate")
    from kmnist.environment import set_environment
    from kmnist.errors import PictureError
    from kmnist.prediction.labelled import find_labelled
    from kmnist.registry import fetch_network
    from kmnist.training.evaluate import evaluate as measure

    set_environment()
    saved = fetch_network(model, tracking_uri=tracking_uri)
    chosen = find_labelled(data, split, Path(data_dir), saved)
    if chosen.unread:
        name, why = chosen.unread[0]
        raise PictureError(f"{len(chosen.unread):,} of the pictures could not be read; the first: {name}: {why}")
    return measure(saved.network, chosen.images)[0]


def _ignore(epoch: Epoch, best: Epoch) -> None: ...


class _Kept:
    """The view of a study that shows nothing, and keeps what it came to."""

    def __init__(self) -> None:
        self.name = self.run_id = ""
        self.settings: dict[str, str] | None = None
        self.value: float | None = None
        self.offered: str | None = None

    def data(self, data: Dataset) -> None:
        """See :class:`kmnist.jobs.course.View`, as for the others."""

    def study(self, study: TrackedStudy, run_id: str) -> None:
        self.name, self.run_id = study.name, run_id

    def trials(self, study: TrackedStudy) -> AbstractContextManager[Callable[[Sequence[FrozenTrial]], None]]:
        return nullcontext(lambda trials: None)

    def found(self, study: TrackedStudy, best: FrozenTrial | None) -> None:
        from kmnist.tuning.table import chosen_of

        if best is not None:
            self.settings = study.definition.config(chosen_of(best, study.definition)).changed()
            self.value = best.value

    def confirmed(self, table: pd.DataFrame, offered: str | None) -> None:
        self.offered = offered

    def interrupted(self, study: TrackedStudy) -> None: ...

    def say(self, line: str) -> None: ...
