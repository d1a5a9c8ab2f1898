"""What any client of an MLflow tracking server must do, as tests: run them over your own store, and over MLflow's.

Subclass the suite in a test file of yours and give it the fixture ``client``, an ``MlflowClient`` of a real server:

    class TestMyStore(ClientContract):
        @pytest.fixture
        def client(self, server): ...

``OutageContract`` adds what a client with a journal must do; it needs the fixture ``outage``, too: a context manager
that takes the server away and, at its end, brings it back.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

Outage = Callable[[], AbstractContextManager[None]]
#: Of a single call that must not wait for a server that is away.
PROMPT_SECONDS = 2.0
#: Of a creation, or a read that must ask the server, before it is known to be away.
PATIENT_SECONDS = 20.0


def _run(client: MlflowClient, **tags: str) -> Run:
    return client.create_run(client.create_experiment(f"contract {uuid.uuid4().hex}"), tags=tags, run_name="a run")


class ClientContract:
    """With a server that is up."""

    def test_reads_see_what_was_written(self, client: MlflowClient) -> None:
        """At once, whatever has been sent."""
        run_id = _run(client, kind="contract").info.run_id
        for step in range(5):
            client.log_metric(run_id, "loss", 1 / (step + 1), timestamp=1000 + step, step=step)
        client.log_param(run_id, "rate", 0.1)
        client.set_tag(run_id, "note", "x")
        client.delete_tag(run_id, "kind")
        history = [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, "loss")]
        assert history == [(step, 1 / (step + 1), 1000 + step) for step in range(5)]
        data = client.get_run(run_id).data
        assert data.params == {"rate": "0.1"}
        assert data.metrics == {"loss": 0.2}
        assert data.tags["note"] == "x"
        assert "kind" not in data.tags

    def test_the_same_point_twice_is_one(self, client: MlflowClient) -> None:
        """And two points of one step with different values are two."""
        run_id = _run(client).info.run_id
        for value in (1.0, 1.0, 2.0):
            client.log_metric(run_id, "loss", value, timestamp=1000, step=1)
        assert sorted(m.value for m in client.get_metric_history(run_id, "loss")) == [1.0, 2.0]

    def test_a_batch_is_taken_whole(self, client: MlflowClient) -> None:
        """Up to the server's limits."""
        run_id = _run(client).info.run_id
        metrics = [Metric("loss", float(step), 1000 + step, step) for step in range(900)]
        client.log_batch(run_id, metrics, [Param(f"p{n}", str(n)) for n in range(50)], [RunTag("t", "1")])
        assert len(client.get_metric_history(run_id, "loss")) == 900
        assert len(client.get_run(run_id).data.params) == 50

    def test_a_parameter_keeps_its_value(self, client: MlflowClient) -> None:
        """The same again is no error, another one is."""
        run_id = _run(client).info.run_id
        client.log_param(run_id, "rate", 0.1)
        client.log_param(run_id, "rate", 0.1)
        with pytest.raises(MlflowException, match="rate"):
            client.log_param(run_id, "rate", 0.2)
        assert client.get_run(run_id).data.params == {"rate": "0.1"}

    @pytest.mark.parametrize("key", ["", "a" * 300, "a\nb"])
    def test_a_key_of_wrong_form_is_refused(self, client: MlflowClient, key: str) -> None:
        """By MLflow's own exception, in the call."""
        run_id = _run(client).info.run_id
        with pytest.raises(MlflowException):
            client.log_metric(run_id, key, 1.0)
        assert client.get_run(run_id).data.metrics == {}

    def test_files_can_be_listed_and_read(self, client: MlflowClient, tmp_path: Path) -> None:
        """And written again."""
        run_id = _run(client).info.run_id
        client.log_text(run_id, "one", "folder/words.txt")
        client.log_text(run_id, "two", "folder/words.txt")
        client.log_dict(run_id, {"a": 1}, "top.json")
        assert sorted(info.path for info in client.list_artifacts(run_id)) == ["folder", "top.json"]
        assert [info.path for info in client.list_artifacts(run_id, "folder")] == ["folder/words.txt"]
        assert Path(client.download_artifacts(run_id, "folder/words.txt", str(tmp_path))).read_text() == "two"

    def test_a_run_ends(self, client: MlflowClient) -> None:
        """With the status and time that were given, and can be written to afterwards."""
        run_id = _run(client).info.run_id
        client.set_terminated(run_id, "FAILED", end_time=5_000)
        client.log_metric(run_id, "late", 1.0)
        run = client.get_run(run_id)
        assert (run.info.status, run.info.end_time) == ("FAILED", 5_000)
        assert run.data.metrics == {"late": 1.0}

    def test_runs_are_found(self, client: MlflowClient) -> None:
        """By what has just been written."""
        run = _run(client)
        client.log_metric(run.info.run_id, "loss", 0.5)
        found = client.search_runs([run.info.experiment_id], "metrics.loss < 1")
        assert [one.info.run_id for one in found] == [run.info.run_id]

    def test_what_is_not_there_is_an_error(self, client: MlflowClient) -> None:
        """MLflow's own."""
        with pytest.raises(MlflowException, match="not found"):
            client.get_run("0" * 32)


class OutageContract(ClientContract):
    """With a server that goes away and comes back."""

    def test_writes_do_not_wait_and_arrive(self, client: MlflowClient, outage: Outage, tmp_path: Path) -> None:
        """Each call returns at once; what was written can be read meanwhile, and is there once afterwards."""
        run_id, slowest = _run(client).info.run_id, 0.0
        with outage():
            for step in range(50):
                began = time.monotonic()
                client.log_metric(run_id, "loss", float(step), step=step)
                slowest = max(slowest, time.monotonic() - began)
            client.log_text(run_id, "words", "words.txt")
            assert [m.step for m in client.get_metric_history(run_id, "loss")] == list(range(50))
        assert slowest < PROMPT_SECONDS
        self.settle()
        assert [m.step for m in client.get_metric_history(run_id, "loss")] == list(range(50))
        assert Path(client.download_artifacts(run_id, "words.txt", str(tmp_path))).read_text() == "words"

    def test_a_run_begins_while_the_server_is_away(self, client: MlflowClient, outage: Outage) -> None:
        """Its id can be used afterwards, too, and there is one run."""
        experiment = client.create_experiment(f"contract {uuid.uuid4().hex}")
        with outage():
            began = time.monotonic()
            run = client.create_run(experiment, run_name="begun away")
            assert time.monotonic() - began < PATIENT_SECONDS
            client.log_param(run.info.run_id, "rate", 0.1)
            assert client.get_run(run.info.run_id).data.params == {"rate": "0.1"}
        self.settle()
        client.set_terminated(run.info.run_id)
        self.settle()
        [found] = client.search_runs([experiment])
        assert (found.info.run_name, found.info.status) == ("begun away", "FINISHED")
        assert found.data.params == {"rate": "0.1"}

    def test_what_only_the_server_knows_is_a_prompt_error(self, client: MlflowClient, outage: Outage) -> None:
        """Never a wait of minutes."""
        with outage():
            began = time.monotonic()
            with pytest.raises(MlflowException):
                client.get_run("0" * 32)
            assert time.monotonic() - began < PATIENT_SECONDS

    def settle(self) -> None:
        """Return once all has arrived. Overwrite it for another journal than this package's."""
        import mlflow_journal

        assert mlflow_journal.flush(60)
