"""One record, or several that travel together, becomes requests to MLflow; each may be repeated without harm."""

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from kmnist.record import ANY_MODEL
from kmnist.tracking.payloads import Payloads
from kmnist.tracking.publish import publish_model
from kmnist.tracking.records import Record, Unsendable, kind_of
from kmnist.tracking.upload import upload_file

#: Kinds of record that travel together; MLflow takes 1000 metrics in one request.
BATCHED = {"metrics", "tags"}


def deliver(client: MlflowClient, run_id: str, payloads: Payloads, records: list[Record]) -> None:
    """Send a record of a run, or several that are ``BATCHED``.

    Raises:
        Unsendable: it is damaged, or names what it must not: files elsewhere, runs that are not below its own.
        Exception: the server refuses or is away, or the record is not what it should be.
    """
    if kind_of(records[0]) in BATCHED:
        _send_batch(client, run_id, records)
    else:
        _send(client, run_id, payloads, records[0])


def _send_batch(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    metrics, tags = [], {}
    for record in records:
        tags.update(record.get("tags", {}))
        for key, value in record.get("metrics", {}).items():
            metrics.append(Metric(key, value, record["timestamp_ms"], record["step"]))
    client.log_batch(run_id, metrics, tags=[RunTag(key, value) for key, value in tags.items()])


def _send(client: MlflowClient, run_id: str, payloads: Payloads, record: Record) -> None:
    match kind_of(record):
        case "params":
            client.log_batch(run_id, params=[Param(key, value) for key, value in record["params"].items()])
        case "tag_run":
            other = client.get_run(record["run_id"])
            if other.data.tags.get(MLFLOW_PARENT_RUN_ID) != run_id:
                raise Unsendable(f"run {record['run_id']} is not below run {run_id}, whose journal this is")
            tags = [RunTag(key, value) for key, value in record["tags"].items()]
            client.log_batch(record["run_id"], tags=tags)
        case "inputs":
            dataset = Dataset(**record["dataset"])
            context = InputTag(MLFLOW_DATASET_CONTEXT, record["context"])
            client.log_inputs(run_id, datasets=[DatasetInput(dataset, [context])])
        case "file":
            upload_file(client, run_id, payloads.find(record), record["folder"])
        case "model":
            stamp, step = record["timestamp_ms"], record["step"]
            publish_model(
                client,
                run_id,
                payloads.find(record),
                name=record.get("name", ANY_MODEL),  # those of earlier versions had none
                step=step,
                metrics=record["metrics"],
                timestamp_ms=stamp,
            )
        case "evaluated":
            model_id, dataset = record["model_id"], record["dataset"]
            inputs = client.get_run(run_id).inputs
            if model_id not in {found.model_id for found in (inputs.model_inputs if inputs else [])}:
                client.log_inputs(run_id, models=[LoggedModelInput(model_id)])
            points = [
                Metric(key, value, record["timestamp_ms"], record["step"], model_id, dataset["name"], dataset["digest"])
                for key, value in record["metrics"].items()
            ]
            client.log_batch(run_id, points)
        case "status" if record["status"] == "RUNNING":
            client.update_run(run_id, "RUNNING")
        case "status":
            client.set_terminated(run_id, record["status"], record["timestamp_ms"])
        case kind:
            raise Unsendable(f"it is damaged, or of a kind that is not known: {kind}")
