"""One trial: its settings, its training, and what became of it, in Optuna and in its run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from optuna import Trial
from optuna.trial import FrozenTrial, TrialState

from kmnist import record
from kmnist.checkpoint import FILE_NAME, Checkpoint, load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.errors import CheckpointError, KmnistError, Stopped, StudyError, TrackingError
from kmnist.experiment import Splits, TrainOptions, train, train_epochs
from kmnist.experiment.checkpointer import objective_value
from kmnist.models.transfer import InitialWeights
from kmnist.training.fit import Epoch
from kmnist.tuning.claims import Claim, ClaimLost
from kmnist.tuning.retry import STORAGE_IS_AWAY, wait_out
from kmnist.tuning.runs import StartRun, TrialRun
from kmnist.tuning.space import suggest

MOST_DEATHS = 3  # of workers without an epoch between them: then the trial is to blame
#: A disk, a server, a storage or a worker is at fault, not the settings: the trial stays, for a worker to go on with.
NOT_THE_TRIALS = (CheckpointError, ClaimLost, TrackingError, StudyError, OSError, *STORAGE_IS_AWAY)

SplitsFor: TypeAlias = Callable[[TrainConfig], Splits]


@dataclass(frozen=True)
class Means:
    """What a worker trains with.

    Attributes:
        start_run: makes or finds the run of a trial.
        splits_for: the train and valid images of a config.
        test: the test images, for a confirmation only.
        initial: weights to begin with, where the settings name some.
        measure_load: gives the machine's load since it was called last, as metrics.
        device: where to compute.
        threads: to compute with on a CPU; ``None``: as many as are found to be fastest.
    """

    start_run: StartRun
    splits_for: SplitsFor
    test: Images | None
    initial: InitialWeights | None
    measure_load: Callable[[], dict[str, float]]
    device: str
    threads: int | None


def run_trial(claim: Claim, means: Means) -> None:
    """Work on a trial until it has ended, from where an earlier worker left it.

    Its run ends first and the trial after it, so that a process killed between the two leaves a trial that another
    worker takes up and ends in the same way. COMPLETE is FINISHED in MLflow, PRUNED is KILLED, FAIL is FAILED.

    Args:
        claim: to the trial.
        means: what to train with.

    Raises:
        ClaimLost: another worker has the trial by now; the run ends as KILLED.
        one of NOT_THE_TRIALS, KeyboardInterrupt: the trial has not ended.
    """
    study, trial = claim.study, claim.trial
    state, value, reason = TrialState.COMPLETE, None, ""
    confirmed = study.definition.confirms
    kind = record.KIND_CONFIRMATION if confirmed else record.KIND_TRIAL
    tags = {record.STUDY: confirmed or study.name, record.TRIAL: str(trial.number), record.KIND: kind}
    if confirmed:
        tags[record.CONFIRMATION] = study.name  # a study that went on has more than one
    name = f"{confirmed or study.name} {kind} {trial.number}"
    run = means.start_run(name, tags, again="deaths" in trial.user_attrs)
    ended_by: Exception | None = None
    try:
        with run:
            claim.set("run_id", run.id)
            try:
                value = _train(claim, run, means)
            except NOT_THE_TRIALS:
                raise
            except Exception as error:  # which ends the run: Stopped as KILLED, all else as FAILED
                ended_by, (state, reason) = error, _outcome(error)
                run.log_tags({record.TRIAL_STATE: state.name})
                raise
            run.log_tags({record.TRIAL_STATE: state.name, record.TRIAL_VALUE: repr(value)})
    except Exception as error:
        if error is not ended_by:
            raise
    claim.end(value, state, reason)
    run.discard_folder()


def _outcome(error: Exception) -> tuple[TrialState, str]:
    """What a trial has come to that an error has ended, and why."""
    if isinstance(error, Stopped):
        return TrialState.PRUNED, str(error)
    return TrialState.FAIL, f"{type(error).__name__}: {error}"


def _train(claim: Claim, run: TrialRun, means: Means) -> float:
    """Train, and give the best epoch's metric."""
    study, trial = claim.study, claim.trial
    run.log_params({record.TRIAL: str(trial.number)})
    run.log_metrics({record.TRIAL: trial.number}, step=0, timestamp_ms=int(_started(trial)))
    run.log_tags({record.TRIAL_STATE: TrialState.RUNNING.name})
    if (deaths := trial.user_attrs.get("deaths", 0)) >= MOST_DEATHS:
        raise KmnistError(f"the process of this trial died {deaths} times without an epoch; has it enough memory?")
    config = wait_out(lambda: suggest(claim.trial, study.definition), again=claim.refresh)
    if means.test is None and (earlier := _same_settings(claim)):
        return _repeat(earlier, claim, run, config)
    splits = means.splits_for(config)
    pruning = _Pruning(claim, config)
    resume = _checkpoint(run.folder, config, splits)
    if "deaths" in trial.user_attrs:
        begun = f"after epoch {len(resume.epochs)}, from its checkpoint" if resume else "from its first epoch"
        run.log_tags({record.GONE_ON: begun})
    if resume is not None:
        for epoch in resume.epochs:
            pruning.report(epoch)
        pruning.decide(resume.epochs[-1])
    options: TrainOptions = {
        "device": means.device,
        "threads": means.threads,
        "initial": means.initial,
        "resume": resume,
        "measure_load": means.measure_load,
        "on_epoch": pruning,
    }
    if means.test is None:
        return pruning.value(train_epochs(config, splits, run, run.folder, **options).best)
    result = train(config, splits, means.test, run, run.folder, **options)
    claim.set("test_accuracy", result.test.accuracy)
    claim.set("test_loss", result.test.loss)
    return pruning.value(result.best)


def _same_settings(claim: Claim) -> FrozenTrial | None:
    """A complete trial with the settings of this one: with the same seed, too, it would come to the same."""
    complete = wait_out(lambda: claim.study.trials(TrialState.COMPLETE))
    return next((trial for trial in complete if trial.params == claim.trial.params), None)


def _repeat(earlier: FrozenTrial, claim: Claim, run: TrialRun, config: TrainConfig) -> float:
    """Take the result of an earlier trial for that of this one, which costs no epoch."""
    claim.set("epochs_begun", 0)
    claim.set("reason", f"not trained: the settings are those of trial {earlier.number}")
    run.log_params(config.as_text())
    run.log_tags({record.REPEATED: str(earlier.number)})
    name = claim.study.definition.objective.name
    for epoch, value in sorted(earlier.intermediate_values.items()):
        claim.report(value, epoch)
        run.log_metrics({name: value}, epoch)
    assert earlier.value is not None
    run.log_metrics(
        {record.metric(record.BEST, name.replace("/", "_")): earlier.value}, max(earlier.intermediate_values)
    )
    return earlier.value


class _Pruning:
    """Reports each epoch to the study, and ends the training when the pruner or the budget says so."""

    def __init__(self, claim: Claim, config: TrainConfig) -> None:
        self._claim, self._config = claim, config
        self._definition = claim.study.definition

    def __call__(self, epoch: Epoch, best: Epoch) -> None:
        self.report(epoch)
        self.decide(epoch)

    def value(self, epoch: Epoch) -> float:
        """The study's metric."""
        return objective_value(self._definition.objective, epoch)

    def report(self, epoch: Epoch) -> None:
        """Tell the study."""
        self._claim.report(self.value(epoch), epoch.number)

    def decide(self, epoch: Epoch) -> None:
        """Raises Stopped if there is to be no next epoch."""
        if epoch.number == self._config.epochs:
            return  # nothing would be saved
        method = self._definition.method
        if wait_out(self._claim.trial.should_prune):
            raise Stopped(
                f"pruned after epoch {epoch.number} by {method.pruner}: {method.metric} {self.value(epoch):.4f}"
            )
        if why := self._claim.reserve_epoch(epoch.number + 1):
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
