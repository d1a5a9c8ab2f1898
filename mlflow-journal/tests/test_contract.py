"""MLflow's own client and the one with a journal keep one contract."""

from collections.abc import Iterator
from contextlib import contextmanager

import mlflow_journal
import pytest
from conftest import Server
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils
from mlflow_journal.testing.contract import ClientContract, Outage, OutageContract

pytestmark = pytest.mark.slow


def _forget_stores() -> None:
    """MLflow keeps a store for each address."""
    type(utils._tracking_store_registry)._get_store_with_resolved_uri.cache_clear()


class TestMlflow(ClientContract):
    @pytest.fixture
    def client(self, running: Server, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
        monkeypatch.delenv("MLFLOW_JOURNAL_DIR", raising=False)
        _forget_stores()
        return MlflowClient(running.url)


class TestJournal(OutageContract):
    @pytest.fixture
    def client(self, running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowClient]:
        with pytest.MonkeyPatch.context() as patch:
            folder = tmp_path_factory.getbasetemp() / "contract-journal"
            patch.setenv("MLFLOW_JOURNAL_DIR", str(folder))  # undone afterwards
            mlflow_journal.enable(folder)
            yield MlflowClient(running.url)
            assert mlflow_journal.flush(60)
        _forget_stores()

    @pytest.fixture
    def outage(self, running: Server) -> Outage:
        @contextmanager
        def away() -> Iterator[None]:
            running.kill()
            try:
                yield
            finally:
                running.start()

        return away
