"""The sender: a thread that carries a journal's records to MLflow, in order, and waits out what is not there."""

import threading
from itertools import takewhile

import tenacity
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from kmnist.tracking.journal import Journal, Record
from kmnist.tracking.publish import publish_model

#: Answers that no repetition will change: the record itself is wrong. All else is an outage, and is waited out.
HOPELESS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"}
#: The kinds of record, but for those that travel together.
ALONE = {"params", "tag_run", "inputs", "file", "model", "status"}
#: Records that travel together, so that an epoch costs one request; MLflow takes 1000 metrics in one.
BATCHED = {"metrics", "tags"}
MOST_RECORDS = 50
LINGER_SECONDS = 0.1


class Sender:
    """Sends a journal until it is told to stop. Every record may be sent again without harm.

    Args:
        client: where to send to.
        run_id: the run that all records are about.
        journal: what to send.
        lives: whether the run goes on while this is sent. If so, it is RUNNING again after an outage, in which somebody
            may have taken it for dead (``kmnist reap``).
    """

    def __init__(self, client: MlflowClient, run_id: str, journal: Journal, *, lives: bool) -> None:
        self._client = client
        self._run_id = run_id
        self._journal = journal
        self._lives = lives
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kmnist-sender", daemon=True)
        self.rejected = 0
        self.last_error: str | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def drain(self, patience_seconds: float) -> bool:
        """Wait until all has arrived (true), or nothing has for ``patience_seconds`` (false)."""
        self._hurry.set()  # no more will follow that could travel together
        while self._journal.pending_bytes:
            if not self._thread.is_alive() or not self._journal.wait_for_progress(patience_seconds):
                return False
        return True

    def stop(self) -> None:
        """End the thread after the call it is in."""
        self._stop.set()
        self._journal.release()
        self._thread.join(timeout=1)

    def _work(self) -> None:
        waiting = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Exception),
            stop=tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            wait=tenacity.wait_exponential(multiplier=0.1, max=10) + tenacity.wait_random(0, 0.1),
        )
        while not self._stop.is_set():
            if not (first := self._journal.peek(timeout=0.2)):
                continue
            if first[0][0]["op"] in BATCHED:
                self._hurry.wait(LINGER_SECONDS)  # what belongs to the same epoch follows at once
                found = self._journal.peek(timeout=0, most=MOST_RECORDS)
                first = list(takewhile(lambda item: item[0]["op"] in BATCHED, found))
            try:
                waiting(self._send_or_reject, [record for record, _ in first])
            except tenacity.RetryError:
                return
            self._journal.strike(first[-1][1])

    def _send_or_reject(self, records: list[Record]) -> None:
        if records[0]["op"] not in BATCHED | ALONE:
            self._reject(records[0], "of no kind that is known")
            return
        try:
            if self.last_error and self._lives:
                self._client.update_run(self._run_id, "RUNNING")
            if records[0]["op"] in BATCHED:
                self._send_batch(records)
            else:
                self._send(records[0])
            self.last_error = None
        except MlflowException as error:
            self.last_error = str(error).splitlines()[0]
            if error.error_code not in HOPELESS or _is_collision(error) or self._is_deleted():
                raise
            if len(records) > 1:  # one of them is at fault
                for record in records:
                    self._send_or_reject([record])
                return
            self._reject(records[0], str(error))
        except Exception as error:  # remembered for the user, then waited out
            self.last_error = f"{type(error).__name__}: {error}".splitlines()[0]
            raise

    def _reject(self, record: Record, reason: str) -> None:
        self._journal.reject(record, reason)
        self.rejected += 1

    def _is_deleted(self) -> bool:
        """Whether the server refuses because somebody deleted the run or its experiment, which can be undone."""
        return bool(self._client.get_run(self._run_id).info.lifecycle_stage == "deleted")

    def _send_batch(self, records: list[Record]) -> None:
        metrics, tags = [], {}
        for record in records:
            tags.update(record.get("tags", {}))
            for key, value in record.get("metrics", {}).items():
                metrics.append(Metric(key, value, record["timestamp_ms"], record["step"]))
        self._client.log_batch(self._run_id, metrics, tags=[RunTag(key, value) for key, value in tags.items()])

    def _send(self, record: Record) -> None:
        client, run_id = self._client, self._run_id
        match record["op"]:
            case "params":
                client.log_batch(run_id, params=[Param(key, value) for key, value in record["params"].items()])
            case "tag_run":
                tags = [RunTag(key, value) for key, value in record["tags"].items()]
                client.log_batch(record["run_id"], tags=tags)
            case "inputs":
                dataset = Dataset(**record["dataset"])
                context = InputTag(MLFLOW_DATASET_CONTEXT, record["context"])
                client.log_inputs(run_id, datasets=[DatasetInput(dataset, [context])])
            case "file":
                payload = self._journal.payloads / record["payload"]
                if payload.exists():  # else it arrived, and this process died before it could say so
                    client.log_artifact(run_id, str(payload), record["folder"] or None)
                    payload.unlink()
            case "model":
                folder = self._journal.payloads / record["payload"]
                stamp, step = record["timestamp_ms"], record["step"]
                publish_model(client, run_id, folder, step=step, metrics=record["metrics"], timestamp_ms=stamp)
            case "status" if record["status"] == "RUNNING":
                client.update_run(run_id, "RUNNING")
            case "status":
                client.set_terminated(run_id, record["status"], record["timestamp_ms"])


def _is_collision(error: MlflowException) -> bool:
    """Whether two runs brought the same new data set at the same moment: MLflow lets one of them fail, once."""
    return "IntegrityError" in str(error) and "datasets" in str(error)
