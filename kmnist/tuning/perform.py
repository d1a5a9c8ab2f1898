"""One trial: its settings, its training, and what became of it, in Optuna and in its run."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from optuna import Trial
from optuna.trial import TrialState

from kmnist.checkpoint import FILE_NAME, Checkpoint, load_checkpoint
from kmnist.config import TrainConfig
from kmnist.errors import CheckpointError, KmnistError, Stopped, StudyError, TrackingError
from kmnist.experiment import Splits, train, train_epochs
from kmnist.training import Epoch
from kmnist.tuning.runs import StartRun, TrialRun
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import STORAGE_IS_AWAY
from kmnist.tuning.study import TrackedStudy

MOST_DEATHS = 3  # of workers without an epoch between them: then the trial is to blame
#: A disk, a server or a storage is at fault, not the settings: the trial stays, for a worker to go on with.
NOT_THE_TRIALS = (CheckpointError, TrackingError, StudyError, OSError, *STORAGE_IS_AWAY)

SplitsFor: TypeAlias = Callable[[TrainConfig], Splits]


def perform(
    study: TrackedStudy, trial: Trial, start_run: StartRun, splits_for: SplitsFor, device: torch.device | str
) -> None:
    """Work on a trial until it has ended, from where an earlier worker left it.

    Its run ends first and the trial after it, so that a process killed between the two leaves a trial that another
    worker takes up and ends in the same way. COMPLETE is FINISHED in MLflow, PRUNED is KILLED, FAIL is FAILED.

    Args:
        study: that the trial is of.
        trial: from :meth:`TrackedStudy.claim`.
        start_run: makes or finds its run.
        splits_for: the data of a config; a search looks at train and valid only.
        device: where to compute.

    Raises:
        one of NOT_THE_TRIALS, KeyboardInterrupt: the trial has not ended.
    """
    state, value, reason = TrialState.COMPLETE, None, ""
    confirmed = study.definition.confirms
    kind = "confirmation" if confirmed else "trial"
    tags = {"study": confirmed or study.name, "trial": str(trial.number), "kind": kind}
    if confirmed:
        tags["confirmation"] = study.name  # a study that went on has more than one
    run = start_run(f"{confirmed or study.name} {kind} {trial.number}", tags, again="deaths" in trial.user_attrs)
    try:
        with run:
            trial.set_user_attr("run_id", run.id)
            try:
                value = _train(study, trial, run, splits_for, device)
            except Stopped:
                run.log_tags({"trial.state": "PRUNED"})
                raise
            except NOT_THE_TRIALS:
                raise
            except Exception:
                run.log_tags({"trial.state": "FAIL"})
                raise
            run.log_tags({"trial.state": "COMPLETE", "trial.value": repr(value)})
    except Stopped as stopped:
        state, reason = TrialState.PRUNED, str(stopped)
    except NOT_THE_TRIALS:
        raise
    except Exception as error:
        state, reason = TrialState.FAIL, f"{type(error).__name__}: {error}"
    if reason:
        trial.set_user_attr("reason", reason[:500])
    study.end(trial, value, state)
    run.discard_folder()


def _train(
    study: TrackedStudy, trial: Trial, run: TrialRun, splits_for: SplitsFor, device: torch.device | str
) -> float:
    """Train, and give the best epoch's metric."""
    run.log_params({"trial": str(trial.number)})
    run.log_metrics({"trial": trial.number}, step=0, timestamp_ms=int(_started(trial)))
    run.log_tags({"trial.state": "RUNNING"})
    if (deaths := trial.user_attrs.get("deaths", 0)) >= MOST_DEATHS:
        raise KmnistError(f"the process of this trial died {deaths} times without an epoch; has it enough memory?")
    config = suggest(trial, study.definition)
    splits = splits_for(config)
    judge = _Judge(study, trial, config)
    resume = _checkpoint(run.folder, config, splits)
    if resume is not None:
        for epoch in resume.epochs:
            judge.report(epoch)
        judge.decide(resume.epochs[-1])
    if study.definition.confirms is None:
        search = splits.without_test()
        trained = train_epochs(config, search, run, run.folder, device=device, resume=resume, on_epoch=judge)
        return judge.value(trained.best)
    result = train(config, splits, run, run.folder, device=device, resume=resume, on_epoch=judge)
    trial.set_user_attr("test_accuracy", result.test.accuracy)
    trial.set_user_attr("test_loss", result.test.loss)
    return judge.value(result.best)


class _Judge:
    """Reports each epoch to the study, and ends the training when the pruner or the budget says so."""

    def __init__(self, study: TrackedStudy, trial: Trial, config: TrainConfig) -> None:
        self._study, self._trial, self._config = study, trial, config
        self._reported = set(study.trials()[trial.number].intermediate_values)

    def __call__(self, epoch: Epoch, best: Epoch) -> None:
        self.report(epoch)
        if self._trial.user_attrs.get("deaths"):
            self._trial.set_user_attr("deaths", 0)
        self.decide(epoch)

    def value(self, epoch: Epoch) -> float:
        """The study's metric."""
        return epoch.valid.accuracy if self._study.definition.maximise else epoch.valid.loss

    def report(self, epoch: Epoch) -> None:
        """Tell the study, unless an earlier worker did."""
        if epoch.number not in self._reported:
            self._trial.report(self.value(epoch), epoch.number)

    def decide(self, epoch: Epoch) -> None:
        """Raises Stopped if there is to be no next epoch."""
        if epoch.number == self._config.epochs:
            return  # nothing would be saved
        method = self._study.definition.method
        if self._trial.should_prune():
            raise Stopped(
                f"pruned after epoch {epoch.number} by {method.pruner}: {method.metric} {self.value(epoch):.4f}"
            )
        if why := self._study.reserve_epoch(self._trial, epoch.number + 1):
            raise Stopped(f"ended after epoch {epoch.number}: {why}")


def _checkpoint(folder: Path, config: TrainConfig, splits: Splits) -> Checkpoint | None:
    """What an earlier worker left on this machine."""
    if not (folder / FILE_NAME).exists():
        return None
    checkpoint = load_checkpoint(folder)
    if checkpoint.config != config or checkpoint.data_digests != splits.digests:
        raise CheckpointError(f"{folder} has a checkpoint of other settings or images; move it away")
    return checkpoint


def _started(trial: Trial) -> float:
    """Unix time in milliseconds; the same for every worker of the trial."""
    assert trial.datetime_start is not None
    return trial.datetime_start.timestamp() * 1000
