"""A worker: takes trials and trains them until its study is over."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial

from kmnist.config import TrainConfig
from kmnist.data import Images, TrainingData
from kmnist.experiment import Splits, prepare
from kmnist.models.transfer import InitialWeights
from kmnist.training.fit import Weights
from kmnist.tuning.claims import Claim, ClaimLost, Nothing, claim, release
from kmnist.tuning.liveness import Liveness, Session
from kmnist.tuning.retry import STORAGE_IS_AWAY, wait_out
from kmnist.tuning.runs import StartRun
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.trial import Means, run_trial

SPLITTING = ("valid_fraction", "select_by", "seed", "split_seed", "subset")  # settings that say which images are which
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Worker:
    """One worker of a command.

    Attributes:
        id: of its own, under which it gives signs of life.
        command: id of its command's session.
        device: that it was given.
        threads: that it was given.
    """

    id: str
    command: str
    device: str = "cpu"
    threads: int | None = 1


def work(
    study: TrackedStudy,
    worker: Worker,
    start_run: StartRun,
    data: TrainingData,
    test: Images | None = None,
    initial: InitialWeights | None = None,
    measure_load: Callable[[], dict[str, float]] = dict,
    weights: Weights | None = None,
) -> None:
    """Train trials until nothing is left, and none that another worker has may be given up.

    Args:
        study: to work on.
        worker: who works.
        start_run: makes runs.
        data: to train on.
        test: the test images, for a confirmation only.
        initial: weights to begin with, where the settings name some.
        measure_load: gives the machine's load since it was called last, as metrics.
        weights: of the images that are learnt from, for a member of a boosted ensemble.

    Raises:
        one of NOT_THE_TRIALS, KeyboardInterrupt: the trial at hand is given up, for another worker to go on with.
    """
    liveness = Liveness()

    @lru_cache(maxsize=2)
    def split(**of: object) -> Splits:
        return prepare(TrainConfig.parse({**of, "batch_size": 1}), data, weights=weights)

    def splits_for(config: TrainConfig) -> Splits:
        """Those of most trials are the same: once."""
        return split(**{name: config[name] for name in SPLITTING})

    means = Means(start_run, splits_for, test, initial, measure_load, worker.device, worker.threads)
    with Session(study.optuna, worker.id, worker.command) as session:

        def begin_anew() -> None:
            liveness.forget()
            release(study, worker.id, died=False)  # we may have been given a trial, and not have heard of it

        take = partial(claim, study, session.id, worker.id, liveness)
        while (taken := wait_out(take, again=begin_anew)) is not Nothing.LEFT:
            if not isinstance(taken, Claim):
                time.sleep(POLL_SECONDS)
                continue
            try:
                run_trial(taken, means)
            except ClaimLost:  # another goes on with it
                continue
            except BaseException:
                with suppress(*STORAGE_IS_AWAY):  # then the command releases it
                    release(study, worker.id, died=False)
                raise
