"""What becomes of a trial. Where the numbers matter they are scripted, and nothing is trained."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pytest
import torch
from optuna.trial import FrozenTrial, TrialState

from kmnist.checkpoint import FILE_NAME
from kmnist.config import TrainConfig
from kmnist.data import Dataset, Images
from kmnist.errors import CheckpointError, Stopped, TrainingDiverged
from kmnist.experiment import Splits, Trained
from kmnist.metrics import Metrics
from kmnist.training.compute import Compute
from kmnist.training.fit import Epoch
from kmnist.tuning import trial as room
from kmnist.tuning.claims import Claim, ClaimLost, claim, release
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.trial import Means, run_trial
from tests.memory_run import MemoryRun
from tests.nets import on_valid
from tests.test_study import make

Numbers = Iterable[float]


class TrialMemory(MemoryRun):
    """A run in memory that knows how it ended."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.ended_by: BaseException | None = None
        self.discarded = False

    def discard_folder(self) -> None:
        self.discarded = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended_by = error


class Runs:
    """Hands out runs in memory; with ``again``, the one of before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.made: dict[str, TrialMemory] = {}
        self.again: list[bool] = []

    def __call__(self, name: str, tags: Any, again: bool) -> Any:
        self.again.append(again)
        number = str(tags["trial"])
        if not again or number not in self.made:
            self.made[number] = TrialMemory(self._folder / number)
            self.made[number].log_tags(tags)
        return self.made[number]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


def take(study: TrackedStudy, worker: str = "mine") -> Claim:
    taken = claim(study, "", worker, Liveness())  # of no session: it can be taken again at once
    assert isinstance(taken, Claim)
    return taken


def scripted(numbers: Numbers | BaseException, then: BaseException | None = None) -> Callable[..., Trained]:
    """A training whose validation accuracies are ``numbers``; the loss is one minus that."""

    def train_epochs(config: TrainConfig, splits: object, run: object, folder: Path, **options: Any) -> Trained:
        if isinstance(numbers, BaseException):
            raise numbers
        epochs: list[Epoch] = []
        for number, accuracy in enumerate(numbers, start=1):
            metrics = Metrics(1 - accuracy, accuracy)
            epochs.append(Epoch(number, metrics, metrics, 0.001, 1.0, 1000.0, 0))
            best = max(epochs, key=lambda epoch: on_valid(epoch).accuracy)
            options["on_epoch"](epochs[-1], best)
        if then is not None:
            raise then
        return Trained(cast(torch.nn.Module, None), Compute(), {}, {}, epochs, best, 1.0)

    return train_epochs


def with_means(runs: Runs, splits: Splits, test: Images | None = None) -> Means:
    return Means(runs, lambda config: splits, test, None, dict, "cpu", 1)


def run_one(
    study: TrackedStudy, runs: Runs, monkeypatch: pytest.MonkeyPatch, script: Callable[..., Trained]
) -> FrozenTrial:
    """Run one trial with a script; gives what Optuna has of it."""
    monkeypatch.setattr(room, "train_epochs", script)
    trial = take(study)
    try:
        run_trial(trial, with_means(runs, cast(Splits, Split())))
    finally:
        release(study, "mine", died=False)
    return study.trials()[trial.number]


class Split:
    """Stands where a script looks at no data."""

    digests: dict[str, str] = {}  # noqa: RUF012

    def without_test(self) -> None: ...


def test_a_complete_trial(study_address: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(study_address)
    trial = run_one(study, runs, monkeypatch, scripted([0.5, 0.8, 0.7]))
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.8, {1: 0.5, 2: 0.8, 3: 0.7})
    run = runs.made["0"]
    assert trial.user_attrs["run_id"] == run.id
    assert run.ended_by is None
    assert run.params["trial"] == "0"
    assert run.curve("trial") == {0: 0}
    assert run.tags == {"study": "s", "trial": "0", "kind": "trial", "trial.state": "COMPLETE", "trial.value": "0.8"}
    assert run.discarded


def test_the_loss_as_metric(study_address: str, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(study_address, metric="valid/loss")
    trial = run_one(study, runs, monkeypatch, scripted([0.5, 0.75, 0.7]))
    assert trial.value == 0.25
    assert study.optuna.best_value == 0.25
    assert trial.intermediate_values[1] == 0.5


def test_a_pruned_trial_is_stopped_with_the_epoch_and_the_reason(
    study_address: str, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(study_address, pruner="median")
    for _ in range(5):
        run_one(study, runs, monkeypatch, scripted([0.7, 0.8, 0.9]))
    trial = run_one(study, runs, monkeypatch, scripted([0.75, 0.6, 0.99]))
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {1: 0.75, 2: 0.6}
    run = runs.made["5"]
    assert isinstance(run.ended_by, Stopped)  # a tracker ends it as KILLED, see test_run_contract
    assert str(run.ended_by) == trial.user_attrs["reason"] == "pruned after epoch 2 by median: valid/accuracy 0.6000"
    assert run.tags["trial.state"] == "PRUNED"


def test_nothing_is_pruned_after_its_last_epoch(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "s.log"), pruner="median", epochs=3)
    for _ in range(5):
        run_one(study, runs, monkeypatch, scripted([0.7, 0.8, 0.9]))
    assert run_one(study, runs, monkeypatch, scripted([0.75, 0.8, 0.1])).state == TrialState.COMPLETE


def test_settings_that_were_tried_are_not_trained_again(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"search": {"batch_size": [64]}, "max_epochs_total": 9, "pruner": "none"}
    study = make(str(tmp_path / "s.log"), **settings)
    first = run_one(study, runs, monkeypatch, scripted([0.5, 0.8, 0.7]))
    again = run_one(study, runs, monkeypatch, scripted(AssertionError("it was trained")))
    assert (again.state, again.value) == (first.state, first.value) == (TrialState.COMPLETE, 0.8)
    assert again.intermediate_values == first.intermediate_values == runs.made["1"].curve("valid/accuracy")
    assert again.user_attrs["reason"] == "not trained: the settings are those of trial 0"
    assert (runs.made["1"].tags["trial.repeats"], runs.made["1"].params["batch_size"]) == ("0", "64")
    assert (first.user_attrs["epochs_begun"], again.user_attrs["epochs_begun"]) == (3, 0)


def test_a_trial_that_was_pruned_is_no_result(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "s.log"), search={"batch_size": [64]}, pruner="none")
    run_one(study, runs, monkeypatch, scripted([0.5], then=Stopped("pruned")))
    assert run_one(study, runs, monkeypatch, scripted([0.5, 0.9])).value == 0.9


@pytest.mark.parametrize("error", [TrainingDiverged("the loss is nan"), RuntimeError("a bug"), MemoryError()])
def test_a_failed_trial_does_not_end_the_study(
    error: Exception, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "s.log"))
    trial = run_one(study, runs, monkeypatch, scripted([0.5], then=error))
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert trial.user_attrs["reason"] == f"{type(error).__name__}: {error}"
    assert runs.made["0"].ended_by is error
    assert runs.made["0"].tags["trial.state"] == "FAIL"
    assert run_one(study, runs, monkeypatch, scripted([0.5])).state == TrialState.COMPLETE


@pytest.mark.parametrize("error", [CheckpointError("disk full"), OSError(28, "no space"), KeyboardInterrupt()])
def test_a_trial_that_is_not_to_blame_stays_and_is_taken_up_again(
    error: BaseException, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "s.log"))
    with pytest.raises(type(error)):
        run_one(study, runs, monkeypatch, scripted([0.5, 0.6], then=error))
    [trial] = study.trials()
    assert trial.state == TrialState.RUNNING
    again = run_one(study, runs, monkeypatch, scripted([0.5, 0.6, 0.7]))
    assert (again.number, again.state, again.value) == (0, TrialState.COMPLETE, 0.7)
    assert again.intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}
    assert runs.again == [False, True]


def test_a_worker_whose_trial_went_to_another_ends_its_run_and_nothing_else(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "s.log"))

    def numbers() -> Iterable[float]:
        yield 0.5
        release(study, "mine", died=True)
        other.append(take(study, "other"))
        yield 0.6

    other: list[Claim] = []
    with pytest.raises(ClaimLost) as lost:
        run_one(study, runs, monkeypatch, scripted(numbers()))
    assert runs.made["0"].ended_by is lost.value  # a Stopped: its run is KILLED
    assert runs.made["0"].tags["trial.state"] == "RUNNING"
    assert not runs.made["0"].discarded
    [trial] = study.trials()
    assert (trial.state, trial.intermediate_values) == (TrialState.RUNNING, {1: 0.5})
    assert trial.user_attrs["worker"] == "other"


def test_a_trial_whose_workers_keep_dying_fails(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "s.log"))
    trial = take(study)
    for _ in range(3):
        release(study, "mine", died=True)
        take(study)
    assert trial.number == 0
    failed = run_one(study, runs, monkeypatch, scripted([0.5]))
    assert failed.state == TrialState.FAIL
    assert "died 3 times without an epoch" in failed.user_attrs["reason"]


def test_an_epoch_between_two_deaths_makes_them_two_accidents(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "s.log"))
    take(study)
    for _ in range(4):
        release(study, "mine", died=True)
        with pytest.raises(KeyboardInterrupt):
            run_one(study, runs, monkeypatch, scripted([0.5], then=KeyboardInterrupt()))
    assert run_one(study, runs, monkeypatch, scripted([0.5])).state == TrialState.COMPLETE


def test_the_last_epoch_of_the_budget_ends_a_trial(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "s.log"), max_epochs_total=5, pruner="none")
    run_one(study, runs, monkeypatch, scripted([0.1, 0.2, 0.3]))
    trial = run_one(study, runs, monkeypatch, scripted([0.1, 0.2, 0.3]))
    assert (trial.state, trial.intermediate_values) == (TrialState.PRUNED, {1: 0.1, 2: 0.2})
    assert trial.user_attrs["reason"] == "ended after epoch 2: the study's 5 epochs are used up"
    assert sum(len(trial.intermediate_values) for trial in study.trials()) == 5


def test_time_that_is_up_ends_a_trial(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make(str(tmp_path / "s.log"), timeout=60, pruner="none")

    def numbers() -> Iterable[float]:
        yield 0.1
        study.optuna.set_user_attr("out_of_time", True)
        yield 0.2
        yield 0.3

    trial = run_one(study, runs, monkeypatch, scripted(numbers()))
    assert trial.user_attrs["reason"] == "ended after epoch 2: the study's time is up"


REAL: dict[str, Any] = {"hidden": "16", "batch_size": 64, "precision": "fp32", "epochs": 4, "pruner": "none"}


def interrupt_after(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next training be interrupted after an epoch, as by a signal."""
    pruning = room._Pruning.__call__

    def interrupted(self: Any, epoch: Epoch, best: Epoch) -> None:
        pruning(self, epoch, best)
        if epoch.number == number:
            time.sleep(0.3)  # its checkpoint is written in the background
            raise KeyboardInterrupt

    monkeypatch.setattr(room._Pruning, "__call__", interrupted)


def test_an_interrupted_trial_goes_on_from_its_checkpoint(
    splits: Splits, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_one(study: TrackedStudy, runs: Runs) -> FrozenTrial:
        trial = take(study)
        run_trial(trial, with_means(runs, splits))
        return study.trials()[trial.number]

    undisturbed = train_one(make(str(tmp_path / "a.log"), **REAL), Runs(tmp_path / "undisturbed"))
    study = make(str(tmp_path / "b.log"), **REAL)
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train_one(study, runs)
    release(study, "mine", died=False)
    assert (runs.made["0"].folder / FILE_NAME).exists()
    resumed = train_one(study, runs)
    assert runs.made["0"].tags["trial.gone_on"] == "after epoch 2, from its checkpoint"
    assert resumed.params == undisturbed.params
    assert resumed.intermediate_values == undisturbed.intermediate_values
    assert resumed.value == undisturbed.value
    assert list(runs.made["0"].curve("valid/accuracy")) == [1, 2, 3, 4]
    points = [(step, value) for name, step, value, _ in runs.made["0"].points if name == "valid/accuracy"]
    assert len(points) == 4  # none twice


def test_a_trial_that_its_worker_had_no_time_to_prune_is_pruned_by_the_next(
    splits: Splits, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(str(tmp_path / "s.log"), **{**REAL, "pruner": "median"})
    with monkeypatch.context() as patch:
        for _ in range(5):
            run_one(study, runs, patch, scripted([0.99, 0.99, 0.99, 0.99]))
    trial = take(study)
    with monkeypatch.context() as patch:
        patch.setattr(room._Pruning, "decide", lambda self, epoch: None)
        interrupt_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            run_trial(trial, with_means(runs, splits))
    release(study, "mine", died=False)
    run_trial(take(study), with_means(runs, splits))
    ended = study.trials()[5]
    assert (ended.state, len(ended.intermediate_values)) == (TrialState.PRUNED, 2)


def test_a_confirmation_is_a_whole_run_with_its_test(
    splits: Splits, drawn: Dataset, runs: Runs, tmp_path: Path
) -> None:
    definition_of = make(str(tmp_path / "s.log"), **REAL)
    study = replace(definition_of, definition=replace(definition_of.definition, confirms="s"))
    trial = take(study)
    run_trial(trial, with_means(runs, splits, drawn.test))
    run = runs.made["0"]
    assert study.trials()[0].user_attrs["test_accuracy"] == next(iter(run.curve("test/accuracy").values()))
    assert (run.tags["kind"], run.tags["study"], run.tags["confirmation"]) == ("confirmation", "s", "s")
    assert len(run.models) == 1
