"""A worker: takes trials and performs them until its study is over."""

import os
import time
from functools import lru_cache

import torch
from optuna import Trial

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import Splits, prepare
from kmnist.tuning.perform import perform
from kmnist.tuning.runs import StartRun
from kmnist.tuning.sessions import Watch
from kmnist.tuning.study import Nothing, TrackedStudy

POLL_SECONDS = 0.5


def work(study: TrackedStudy, session: str, start_run: StartRun, data: Dataset, device: torch.device | str) -> None:
    """Perform trials until nothing is left, and none that runs elsewhere may be given up.

    Raises:
        one of NOT_THE_TRIALS, KeyboardInterrupt: the trial at hand is given up, for another worker to go on with.
    """
    watch, worker = Watch(), os.getpid()

    @lru_cache(maxsize=2)
    def split(valid_fraction: float, seed: int) -> Splits:
        return prepare(TrainConfig.parse({"valid_fraction": valid_fraction, "seed": seed, "batch_size": 1}), data)

    def splits_for(config: TrainConfig) -> Splits:
        """Those of most trials are the same: once."""
        return split(config.valid_fraction, config.seed)

    while (taken := study.claim(session, worker, watch)) is not Nothing.LEFT:
        if not isinstance(taken, Trial):
            time.sleep(POLL_SECONDS)
            continue
        try:
            perform(study, taken, start_run, splits_for, device)
        except BaseException:
            study.release(session, worker, died=False)
            raise
