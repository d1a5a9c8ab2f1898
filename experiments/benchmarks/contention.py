"""Many workers at one storage of studies: whether trials are lost or made twice, and when more workers are no faster.

python -m experiments.benchmarks.contention --storage postgresql://user@host/empty_database
python -m experiments.benchmarks.contention --storage postgresql://user@host/empty_database --engine ray
python -m experiments.benchmarks.contention --storage postgresql://user@host/empty_database --workers 1 2 4 8 16 \
    --trials 160 --epoch-seconds 0.2

Nothing is trained: a trial asks for a setting, reports three epochs and ends, as fast as the storage lets it, or with a
pause for each epoch. Workers begin together, when all are there.
"""

import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

import cyclopts
from optuna.trial import TrialState

from experiments.benchmarks.trial_span import trial_span
from kmnist.cli.options import Storage
from kmnist.jobs.executor import Executor
from kmnist.jobs.forkserver import CONTEXT
from kmnist.jobs.local import LocalExecutor
from kmnist.tuning.claims import Claim, Nothing, claim
from kmnist.tuning.definition import parse
from kmnist.tuning.liveness import PREFIX, Liveness, Session, new_id
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import TrackedStudy, create_study, load_study
from kmnist.tuning.worker import Worker

app = cyclopts.App(help=__doc__, help_format="plaintext")
EPOCHS = 3
START_SECONDS = 600.0


@dataclass(frozen=True)
class AllTrials:
    """What a worker does: all that is left to do of a study, once so many workers are there."""

    storage: str
    study: str
    workers: int
    epoch_seconds: float

    def __call__(self, worker: Worker) -> int:
        """Gives the exit status."""
        study, liveness = load_study(open_storage(self.storage), self.study), Liveness()
        with Session(study.optuna, worker.id) as session:
            while sum(name.startswith(PREFIX) for name in study.optuna.user_attrs) < self.workers:
                time.sleep(0.2)
            while (taken := claim(study, session.id, worker.id, liveness)) is not Nothing.LEFT:
                if isinstance(taken, Claim):
                    self._work(taken)
        return 0

    def _work(self, taken: Claim) -> None:
        rate = taken.trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
        for epoch in range(1, EPOCHS + 1):
            time.sleep(self.epoch_seconds)
            taken.report(rate, epoch)
        taken.end(rate, TrialState.COMPLETE)


@app.default
def main(
    *,
    storage: Storage,
    trials: int = 500,
    workers: Annotated[list[int], cyclopts.Parameter(consume_multiple=True)] = [16],  # noqa: B006
    engine: Literal["local", "ray"] = "local",
    epoch_seconds: float = 0.0,
) -> None:
    """Print for each number of workers the seconds from the first trial's start to the last one's end.

    Parameters
    ----------
    storage
        a file that does not exist yet, or an empty PostgreSQL database
    trials
        of each study
    workers
        that share them
    engine
        processes of this machine, or Ray's
    epoch_seconds
        that a worker sleeps for an epoch
    """
    whole, alone = True, 0.0
    with _executor(engine, max(workers)) as executor:
        for count in workers:
            study = _work_on(executor, storage, trials, count, epoch_seconds)
            first, last = trial_span(study)
            seconds = last - first
            alone = alone or seconds * count
            print(
                f"{count:3} workers: {seconds:6.1f} s, {trials / seconds:6.1f} trials a second, "
                f"{alone / (count * seconds):4.0%} of what as many alone would do; ",
                end="",
            )
            whole &= _is_whole(study, trials)
    sys.exit(0 if whole else 1)


def _executor(engine: str, workers: int) -> Executor:
    if engine == "local":
        CONTEXT.set_forkserver_preload(["kmnist.cli.options", "kmnist.jobs.local", "psycopg"])
        return LocalExecutor(workers)
    from kmnist.jobs.ray import RayExecutor

    return RayExecutor(None, cpus=1, gpus=0, local_cpus=workers)


def _work_on(executor: Executor, storage: str, trials: int, workers: int, epoch_seconds: float) -> TrackedStudy:
    """Make a study, and have it worked on."""
    definition, budget = parse({"sampler": "random", "trials": trials, "search": {"learning_rate": None}})
    data = {"dataset": "none", "train SHA-256": "none"}
    study = create_study(open_storage(storage), f"contention-{workers}", definition, budget, data)
    todo = AllTrials(storage, study.name, workers, epoch_seconds)
    jobs = [executor.start(todo, Worker(new_id(), "contention")) for _ in range(workers)]
    for job in jobs:
        job.join(START_SECONDS)
        if job.exitcode != 0:
            print(f"a worker ended with {job.exitcode}; ", end="")
    return study


def _is_whole(study: TrackedStudy, trials: int) -> bool:
    """Print what was lost, made twice or told wrongly."""
    ended = study.trials()
    states = Counter(trial.state.name for trial in ended)
    double = len(ended) - len({trial.params.get("learning_rate") for trial in ended})
    wrong = sum(
        trial.intermediate_values != {epoch: trial.params.get("learning_rate") for epoch in range(1, EPOCHS + 1)}
        for trial in ended
    )
    print(f"{dict(states)}, {trials - states['COMPLETE']} lost, {double} double, {wrong} wrong", flush=True)
    return states == {"COMPLETE": trials} and not double and not wrong


if __name__ == "__main__":
    from experiments.benchmarks.contention import app as importable  # what workers unpickle is not in __main__

    importable()
