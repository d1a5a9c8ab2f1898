"""What is kept of each epoch: the best weights in memory, a checkpoint on disk, its numbers in the run."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from kmnist import record
from kmnist.checkpoint import Checkpoint, save_checkpoint
from kmnist.config import LAST, TrainConfig
from kmnist.experiment.diagnosis import DiagnosisLog
from kmnist.experiment.run import Run
from kmnist.experiment.splits import Splits
from kmnist.figures import confusion_matrix_image
from kmnist.metrics import Metrics
from kmnist.training.compute import Compute
from kmnist.training.diagnostics import Diagnosis
from kmnist.training.fit import Epoch
from kmnist.training.optimisation import evaluated_weights

CONFUSION_IMAGES = 10  # in the series with a step slider


class Checkpointer:
    """Keeps the best weights and, in a thread of its own, the checkpoint and the log of each epoch.

    An epoch is logged after its checkpoint is on disk, so that a process killed at any moment leaves no epoch in the
    log that a resumed run would train, and log, again. The training waits only if the disk is an epoch behind.

    Args:
        config: the settings.
        compute: where and how is computed.
        splits: what is trained on.
        run: where to write the numbers to.
        folder: for the checkpoint.
        model: that is trained.
        kept: the names of its weights that are from elsewhere.
        measure_load: gives the machine's load since it was called last, as metrics.
        resume: what to go on from.
        diagnose: whether the network is diagnosed after each epoch, which changes no number of it.
    """

    def __init__(
        self,
        config: TrainConfig,
        compute: Compute,
        splits: Splits,
        run: Run,
        folder: Path,
        model: nn.Module,
        kept: list[str],
        measure_load: Callable[[], dict[str, float]],
        resume: Checkpoint | None,
        diagnose: bool,
    ) -> None:
        self._config, self._compute, self._splits = config, compute, splits
        self._run, self._folder, self._model, self._measure_load = run, folder, model, measure_load
        self._kept = kept
        done = len(resume.epochs) if resume else 0
        self._diagnoses = DiagnosisLog(splits, compute, folder, done) if diagnose else None
        self._weights: dict[str, Tensor] = resume.model if resume else {}  # of the last epoch, as they are trained
        self._objective = None if config.select_by == LAST else record.Objective.of(config.select_by)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kmnist-checkpointer")
        self._writing: Future[None] | None = None
        self.epochs: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}  # as they are evaluated, and so the last
        self.last_weights: dict[str, Tensor] = {}
        if resume is not None:
            self.epochs, self.best_weights = list(resume.epochs), resume.best
            self.last_weights = evaluated_weights(resume.model, resume.optimisation)
            best = self.epochs[0]
            for epoch in self.epochs[:-1]:  # those of the last moment may not have been logged
                best = epoch if self._is_better(epoch, best) else best
                run.log_metrics({**epoch_metrics(epoch), **best_metrics(best)}, epoch.number, epoch.timestamp_ms)
            self.best = self.epochs[resume.best_epoch - 1]
            self._log(resume)

    @property
    def should_stop(self) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return bool(self.epochs) and 0 < self._config.patience <= self.epochs[-1].number - self.best.number

    def keep(self, epoch: Epoch) -> None:
        """Take an epoch and, if it is the best so far, its weights."""
        assert epoch.live is not None
        diagnosis = self._diagnoses.measure(self._model, self._weights) if self._diagnoses else None
        weights = self._weights = _copy(self._model.state_dict())
        self.last_weights = _copy(epoch.live.optimisation.weights_to_evaluate())
        if not self.epochs or self._is_better(epoch, self.best):
            self.best, self.best_weights = replace(epoch, live=None), self.last_weights
        self.epochs.append(replace(epoch, live=None))
        checkpoint = Checkpoint(
            run_id=self._run.id,
            config=self._config,
            compute=self._compute,
            spec=self._splits.spec,
            data_digests=self._splits.digests,
            epochs=list(self.epochs),
            best_epoch=self.best.number,
            model=weights,
            best=self.best_weights,
            optimisation=_copy(epoch.live.optimisation.state_dict()),
            confusion=epoch.live.valid_confusion,
            load={},
            kept=self._kept,
        )
        self._wait()
        self._writing = self._thread.submit(self._write, checkpoint, diagnosis)

    def _write(self, checkpoint: Checkpoint, diagnosis: Diagnosis | None) -> None:
        found = self._diagnoses.write(checkpoint.epochs[-1].number, diagnosis) if self._diagnoses and diagnosis else {}
        checkpoint = replace(checkpoint, load={**self._measure_load(), **found})
        save_checkpoint(checkpoint, self._folder)
        self._log(checkpoint)

    def _log(self, checkpoint: Checkpoint) -> None:
        """The last epoch of a checkpoint; again, it changes nothing."""
        epoch, run = checkpoint.epochs[-1], self._run
        numbers = {**epoch_metrics(epoch), **best_metrics(checkpoint.epochs[checkpoint.best_epoch - 1])}
        run.log_metrics({**numbers, **checkpoint.load}, epoch.number, epoch.timestamp_ms)
        every = max(self._config.epochs // CONFUSION_IMAGES, 1)
        shown = epoch.number % every == 0 or epoch.number in (1, self._config.epochs)
        if shown and checkpoint.confusion is not None:
            image = confusion_matrix_image(checkpoint.confusion, checkpoint.spec)
            run.log_image(image, record.VALID_CONFUSION, epoch.number, epoch.timestamp_ms)

    def _is_better(self, epoch: Epoch, than: Epoch) -> bool:
        if self._objective is None:
            return True
        value, best = (objective_value(self._objective, either) for either in (epoch, than))
        return self._objective.is_better(value, than=best)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self._wait()


def split_metrics(split: str, found: Metrics) -> dict[str, float]:
    """The numbers of a split under the names that they have in MLflow."""
    return {record.metric(split, name): value for name, value in found.as_dict().items()}


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """An epoch's numbers under the names that they have in MLflow."""
    train, valid = epoch.train, epoch.valid
    found = split_metrics(record.TRAIN, train)
    if valid:
        found |= split_metrics(record.VALID, valid)
        found[record.metric(record.GAP, "loss")] = valid.loss - train.loss
        found[record.metric(record.GAP, "accuracy")] = train.accuracy - valid.accuracy
    return {
        **found,
        record.LEARNING_RATE: epoch.learning_rate,
        record.EPOCH_SECONDS: epoch.seconds,
        record.IMAGES_PER_SECOND: epoch.images_per_second,
    }


def best_metrics(best: Epoch) -> dict[str, float]:
    """What an epoch is ranked by as long as it is the best: MLflow's tables and searches see a run's last values."""
    valid = best.valid.as_dict() if best.valid else {}
    return {record.metric(record.BEST, f"valid_{name}"): value for name, value in valid.items()}


def objective_value(objective: record.Objective, epoch: Epoch) -> float:
    """What an epoch is judged by."""
    return epoch_metrics(epoch)[objective.name]


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In the order in which a file has them: to write them then takes no arithmetic.

    The thread that writes would do that with threads of its own, and where OpenMP counts more threads than cores, those
    of the training no longer wait for their work awake: on two cores a convolutional net's epoch took a quarter longer.
    """
    return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
