"""What a worker of a study is told, and how it finds everything else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmnist.data import Images, TrainingData
from kmnist.errors import KmnistError
from kmnist.models.transfer import InitialWeights
from kmnist.text import complain
from kmnist.training.fit import Weights
from kmnist.tuning.worker import Worker


@dataclass(frozen=True)
class WorkerTask:
    """What all workers of a command are told. Called in the worker's process, with which of them it is.

    Attributes:
        storage: address of the studies.
        study: name of the one to work on.
        tracking_uri: of the server that has the study's run.
        parent_id: that run.
        tags: of the user's, for the runs below it.
        work_dir: for checkpoints and journals.
        data: to train on; loaded and checked once, by the command.
        initial: weights to begin with, where the study's settings name some.
        test: the test images, for a confirmation only: a search is not handed them.
        weights: of the images that are learnt from, for a member of a boosted ensemble.
    """

    storage: str
    study: str
    tracking_uri: str
    parent_id: str
    tags: Mapping[str, str]
    work_dir: Path
    data: TrainingData
    initial: InitialWeights | None = None
    test: Images | None = None
    weights: Weights | None = None

    def __call__(self, worker: Worker) -> int:
        """Work; gives the exit status of the process."""
        from kmnist.tuning.retry import STORAGE_IS_AWAY

        try:
            self._work(worker)
        except (KmnistError, *STORAGE_IS_AWAY) as error:
            complain(f"a worker of study {self.study} ended: {str(error).splitlines()[0]}")
            return 1
        return 0

    def _work(self, worker: Worker) -> None:
        from kmnist.checkpoint import FILE_NAME
        from kmnist.tracking import ChildRuns, SystemMetrics, connect, wait_out
        from kmnist.tracking.children import OUTAGE_SECONDS
        from kmnist.tuning.retry import wait_out as wait_out_storage
        from kmnist.tuning.storage import open_storage
        from kmnist.tuning.study import load_study
        from kmnist.tuning.worker import work

        storage = open_storage(self.storage, known=True)
        study = wait_out_storage(lambda: load_study(storage, self.study))
        client = wait_out(lambda: connect(self.tracking_uri), OUTAGE_SECONDS, say=complain)
        start_run = ChildRuns(client, self.parent_id, self.work_dir, FILE_NAME, self.tags, say=complain)
        work(study, worker, start_run, self.data, self.test, self.initial, SystemMetrics().sample, self.weights)
