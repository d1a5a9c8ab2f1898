"""A worker: takes trials and trains them until its study is over."""

import time
from functools import lru_cache

import torch

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import Splits, prepare
from kmnist.tuning.claims import Claim, ClaimLost, Nothing, claim, release
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.runs import StartRun
from kmnist.tuning.study import TrackedStudy
from kmnist.tuning.trial import run_trial

POLL_SECONDS = 0.5


def work(
    study: TrackedStudy, session: str, worker: str, start_run: StartRun, data: Dataset, device: torch.device | str
) -> None:
    """Train trials until nothing is left, and none that another worker has may be given up.

    Args:
        study: to work on.
        session: id of the command's.
        worker: id of this worker.
        start_run: makes runs.
        data: to train on.
        device: to compute on.

    Raises:
        one of NOT_THE_TRIALS, KeyboardInterrupt: the trial at hand is given up, for another worker to go on with.
    """
    liveness = Liveness()

    @lru_cache(maxsize=2)
    def split(valid_fraction: float, seed: int) -> Splits:
        return prepare(TrainConfig.parse({"valid_fraction": valid_fraction, "seed": seed, "batch_size": 1}), data)

    def splits_for(config: TrainConfig) -> Splits:
        """Those of most trials are the same: once."""
        return split(config.valid_fraction, config.seed)

    while (taken := claim(study, session, worker, liveness)) is not Nothing.LEFT:
        if not isinstance(taken, Claim):
            time.sleep(POLL_SECONDS)
            continue
        try:
            run_trial(taken, start_run, splits_for, device)
        except ClaimLost:  # another goes on with it
            continue
        except BaseException:
            release(study, worker, died=False)
            raise
