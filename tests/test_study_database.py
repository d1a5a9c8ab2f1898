"""Studies in a real PostgreSQL whose connections are cut, or all taken."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

import psycopg
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, ProgrammingError

from kmnist.tuning import retry
from kmnist.tuning.claims import release
from kmnist.tuning.liveness import Session
from kmnist.tuning.retry import wait_out
from kmnist.tuning.storage import open_storage
from tests.postgres import Postgres
from tests.test_study import make, take
from tests.test_tune import Tune, finish, study_in, tune

__all__ = ["tune"]  # a fixture


def cut_connections(postgres: Postgres, database: str) -> int:
    """As an administrator or a proxy does; gives how many there were."""
    server = f"postgresql://kmnist@{postgres.address}:{postgres.port}/postgres"
    with psycopg.connect(server, autocommit=True) as connection:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        return len(connection.execute(query, [database]).fetchall())


def reported_epochs(address: str) -> int:
    try:
        with psycopg.connect(address) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM trial_intermediate_values")
            return int(count)
    except psycopg.Error:  # its tables are not made yet, or this one was cut as well
        return 0


@pytest.mark.long
def test_connections_that_are_cut_after_each_epoch_end_no_worker(postgres: Postgres, tune: Tune) -> None:
    address = postgres.create_database("cut")
    options = ["--hidden", "16", "--workers", "2", "--trials", "4", "--confirm-seeds", "0", "--pruner", "none"]
    command = tune("--study", "s", "--storage", address, "--epochs", "10", *options)
    cut = epochs = 0
    while command.poll() is None:
        if (reported := reported_epochs(address)) > epochs:  # a slow machine is cut off less often
            epochs = reported
            cut += cut_connections(postgres, "cut")
        time.sleep(0.01)
    output = finish(command)
    assert cut > 10
    assert "ended" not in output
    study = study_in(address, "s")
    assert study.replaced == 0
    trials = study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 4
    assert [sorted(trial.intermediate_values) for trial in trials] == [list(range(1, 11))] * 4


@pytest.mark.slow
def test_what_a_worker_writes_is_written_though_its_connections_are_cut(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.0)
    study = make(postgres.create_database("writes"), trials=2)
    assert isinstance(study.storage.optuna, RDBStorage)
    gaps, cuts = Random(0), 0
    until_cut = 1

    def count(*_: object) -> None:
        nonlocal until_cut, cuts
        until_cut -= 1
        if until_cut == 0:
            until_cut = gaps.randint(1, 60)  # statements
            cuts += cut_connections(postgres, "writes")

    event.listen(study.storage.optuna.engine, "before_cursor_execute", count)
    with Session(study.optuna) as session:
        for _ in range(2):
            trial = wait_out(lambda: take(study, session.id), again=lambda: release(study, "one", died=False))
            for epoch in range(1, 5):
                trial.set("note", epoch)
                trial.report(epoch / 10, epoch)
                assert trial.reserve_epoch(epoch + 1) is None
            trial.end(0.5, TrialState.COMPLETE)
    assert cuts > 5
    trials = wait_out(study.trials)
    assert [(sorted(trial.intermediate_values), trial.value) for trial in trials] == [([1, 2, 3, 4], 0.5)] * 2


@pytest.mark.slow
def test_a_server_without_a_free_connection_is_waited_for(
    postgres: Postgres, capfd: pytest.CaptureFixture[str]
) -> None:
    address = postgres.create_database("full")
    held = []
    with ThreadPoolExecutor(1) as beside:
        try:
            with suppress(psycopg.OperationalError):
                while True:
                    held.append(psycopg.connect(address))
            opening = beside.submit(open_storage, address)
            said = ""
            while "waiting for one" not in said:
                said += capfd.readouterr().err
                assert not opening.done()
                time.sleep(0.05)
        finally:
            for connection in held:
                connection.close()
        assert opening.result().shown == address


def test_what_is_refused_for_good_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", 0.0)
    tried = []

    def fail_with(*errors: Exception) -> None:
        tried.append(errors)
        if len(tried) <= len(errors):
            raise errors[len(tried) - 1]

    wrapped = StorageInternalError("as Optuna does it")
    wrapped.__cause__ = OperationalError("SELECT 1", None, Exception("cut"))
    wait_out(lambda: fail_with(wrapped, wrapped))
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(ProgrammingError):
        wait_out(lambda: fail_with(ProgrammingError("SELECT 1", None, Exception("no such table"))))
    assert len(tried) == 1
