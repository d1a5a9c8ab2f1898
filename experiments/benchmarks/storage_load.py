"""What a worker asks of the storage of studies, by the number of trials and of workers: statements, rows, milliseconds.

python -m experiments.benchmarks.storage_load --storage postgresql://user@host/empty_database

The figures of "a thousand workers, on paper" in the documentation are from here. One process does it all, so that
times are those of a database that has nothing else to do.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import cyclopts
from optuna.trial import TrialState, create_trial
from sqlalchemy import event

from kmnist.cli.options import Storage
from kmnist.errors import SettingError
from kmnist.tuning.claims import Claim, claim
from kmnist.tuning.definition import parse
from kmnist.tuning.liveness import Liveness, Session
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import PostgresStorage, open_storage
from kmnist.tuning.study import TrackedStudy, create_study, load_study

app = cyclopts.App(help=__doc__, help_format="plaintext")
EPOCHS = 20
ROUNDS = 3  # of each step; the last one counts: by then a worker has read the trials that ended before


@dataclass
class Load:
    """What was asked of a database."""

    statements: int = 0
    rows: int = 0
    seconds: float = 0.0


@app.default
def main(
    *, storage: Storage, trials: tuple[int, ...] = (100, 1000, 5000), workers: tuple[int, ...] = (1, 1000)
) -> None:
    """Print a line for each step of a worker, at each number of ended trials and of workers.

    Parameters
    ----------
    storage
        an empty PostgreSQL database
    trials
        that have ended
    workers
        whose records the study has, and whose trials are running
    """
    opened = open_storage(storage)
    if not isinstance(opened, PostgresStorage):
        raise SettingError(f"storage={storage}: must be a PostgreSQL database")
    for ended in trials:
        for at_work in workers:
            _fill(opened, name := f"load-{ended}-{at_work}", ended, at_work)
            measured = _worker(opened, name)
            print(f"{ended} ended trials, {at_work} workers")
            for step, load in measured.items():
                print(f"  {step:28}{load.statements:6} statements{load.rows:8} rows{load.seconds * 1000:9.1f} ms")


def _fill(opened: PostgresStorage, name: str, ended: int, at_work: int) -> None:
    """A study with ended and running trials, made without the time that a training takes."""
    given = {"sampler": "tpe", "epochs": EPOCHS, "trials": 100_000, "max_epochs_total": 10_000_000}
    definition, budget = parse({**given, "search": {"learning_rate": None, "batch_size": None, "weight_decay": None}})
    study = create_study(opened, name, definition, budget, {"dataset": "none", "train SHA-256": "none"})
    pattern = study.optuna.ask()
    suggest(pattern, definition)
    settings: dict[str, Any] = {"params": pattern.params, "distributions": pattern.distributions}
    curve = dict.fromkeys(range(1, EPOCHS + 1), 0.9)
    told = {"epochs_begun": EPOCHS, "session": "ended", "worker": "ended"}
    for number in range(ended):
        value = 0.9 + number / 1e6
        study.optuna.add_trial(create_trial(value=value, intermediate_values=curve, user_attrs=told, **settings))
    study.optuna.tell(pattern, 0.9)
    for _ in range(at_work - 1):
        session = Session(study.optuna)
        session._write()
        held = {"epochs_begun": EPOCHS // 2, "session": session.id, "worker": session.id}
        begun = dict.fromkeys(range(1, EPOCHS // 2), 0.9)
        running = create_trial(state=TrialState.RUNNING, intermediate_values=begun, user_attrs=held, **settings)
        study.optuna.add_trial(running)


def _worker(opened: PostgresStorage, name: str) -> dict[str, Load]:
    """The steps of one worker's trial, each measured."""
    found: dict[str, Load] = {}
    liveness = Liveness()

    def step(name: str, work: Callable[[], Any]) -> Any:
        with _counted(opened) as load:
            given = work()
        found[name] = load
        return given

    study: TrackedStudy = step("load the study", partial(load_study, opened, name))
    with Session(study.optuna) as session:
        for _ in range(ROUNDS):
            taken = step("claim", partial(claim, study, session.id, session.id, liveness))
            assert isinstance(taken, Claim)
            step("suggest (tpe)", partial(suggest, taken.trial, study.definition))
            step("report an epoch", partial(taken.report, 0.91, 1))
            step("should_prune (hyperband)", taken.trial.should_prune)
            step("reserve an epoch", partial(taken.reserve_epoch, 2))
            step("end", partial(taken.end, 0.91, TrialState.COMPLETE))
            step("a sign of life", session._write)
            step("a command's look (2 a second)", study.trials)
    return found


@contextmanager
def _counted(opened: PostgresStorage) -> Iterator[Load]:
    load = Load()

    def count(connection: Any, cursor: Any, *rest: Any) -> None:
        load.statements += 1
        load.rows += max(cursor.rowcount, 0)

    event.listen(opened._engine, "after_cursor_execute", count)
    began = time.perf_counter()
    try:
        yield load
    finally:
        load.seconds = time.perf_counter() - began
        event.remove(opened._engine, "after_cursor_execute", count)


if __name__ == "__main__":
    app()
