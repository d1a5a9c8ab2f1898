"""What is kept of each epoch: the best weights in memory, a checkpoint on disk, its numbers in the run."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from kmnist import figures
from kmnist.checkpoint import Checkpoint, save_checkpoint
from kmnist.config import TrainConfig
from kmnist.experiment.run import Run
from kmnist.training import Epoch

CONFUSION_IMAGES = 10  # in the series with a step slider


class Keeper:
    """Keeps the best weights and, in a thread of its own, the checkpoint and the log of each epoch.

    An epoch is logged after its checkpoint is on disk, so that a process killed at any moment leaves no epoch in the
    log that a resumed run would train, and log, again. The training waits only if the disk is an epoch behind.
    """

    def __init__(
        self,
        config: TrainConfig,
        run: Run,
        folder: Path,
        digests: dict[str, str],
        model: nn.Module,
        resume: Checkpoint | None,
    ) -> None:
        self._config, self._run, self._folder, self._digests, self._model = config, run, folder, digests, model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kmnist-keeper")
        self._writing: Future[None] | None = None
        self.epochs: list[Epoch] = []
        self.best_weights: dict[str, Tensor] = {}
        if resume is not None:
            self.epochs, self.best_weights = list(resume.epochs), resume.best
            self.best = self.epochs[resume.best_epoch - 1]
            for epoch in self.epochs[:-1]:  # those of the last moment may not have been logged
                run.log_metrics(epoch_metrics(epoch), epoch.number, epoch.timestamp_ms)
            self._log(resume)

    @property
    def should_stop(self) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return bool(self.epochs) and 0 < self._config.patience <= self.epochs[-1].number - self.best.number

    def keep(self, epoch: Epoch) -> None:
        """Take an epoch and, if it is the best so far, its weights."""
        assert epoch.live is not None
        weights = _copy(self._model.state_dict())
        if not self.epochs or self._is_better(epoch):
            self.best, self.best_weights = replace(epoch, live=None), weights
        state = epoch.live.state.state_dict()
        state["optimizer"] = {
            "state": {key: _copy(values) for key, values in state["optimizer"]["state"].items()},
            "param_groups": [dict(group) for group in state["optimizer"]["param_groups"]],
        }
        self.epochs.append(replace(epoch, live=None))
        # Clones, because safetensors refuses tensors that share memory, as the best epoch's own do.
        best = _copy(weights) if self.best_weights is weights else self.best_weights
        checkpoint = Checkpoint(
            run_id=self._run.id,
            config=self._config,
            data_digests=self._digests,
            epochs=list(self.epochs),
            best_epoch=self.best.number,
            model=weights,
            best=best,
            train_state=state,
            confusion=epoch.live.valid_confusion,
            load={},
        )
        self._wait()
        self._writing = self._thread.submit(self._write, checkpoint)

    def _write(self, checkpoint: Checkpoint) -> None:
        checkpoint = replace(checkpoint, load=self._run.load())
        save_checkpoint(checkpoint, self._folder)
        self._log(checkpoint)

    def _log(self, checkpoint: Checkpoint) -> None:
        """The last epoch of a checkpoint; again, it changes nothing."""
        epoch, run = checkpoint.epochs[-1], self._run
        run.log_metrics({**epoch_metrics(epoch), **checkpoint.load}, epoch.number, epoch.timestamp_ms)
        every = max(self._config.epochs // CONFUSION_IMAGES, 1)
        if epoch.number % every == 0 or epoch.number in (1, self._config.epochs):
            image = figures.confusion_image(checkpoint.confusion)
            run.log_image(image, "valid confusion", epoch.number, epoch.timestamp_ms)

    def _is_better(self, epoch: Epoch) -> bool:
        if self._config.select_by == "valid_loss":
            return epoch.valid.loss < self.best.valid.loss
        return epoch.valid.accuracy > self.best.valid.accuracy

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self._wait()


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """An epoch's numbers under the names that they have in MLflow."""
    return {
        "train/loss": epoch.train.loss,
        "train/accuracy": epoch.train.accuracy,
        "valid/loss": epoch.valid.loss,
        "valid/accuracy": epoch.valid.accuracy,
        "gap/loss": epoch.valid.loss - epoch.train.loss,
        "gap/accuracy": epoch.train.accuracy - epoch.valid.accuracy,
        "learning_rate": epoch.learning_rate,
        "epoch_seconds": epoch.seconds,
        "images_per_second": epoch.images_per_second,
    }


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
