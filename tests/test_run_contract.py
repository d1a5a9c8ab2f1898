"""What every ``Run`` must do, held against each implementation; and what is in MLflow after it."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.experiment import NullRun, Run, Splits
from kmnist.figures import confusion_matrix_image
from kmnist.network import SavedNetwork, load_network
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.tracking.model import save_model
from kmnist.training.evaluate import predict
from tests.memory_run import MemoryRun
from tests.nets import network as build

Open = Callable[[], Run]


@pytest.fixture(params=["sqlite", pytest.param("server", marks=pytest.mark.slow)])
def client(request: pytest.FixtureRequest, store: str) -> MlflowClient:
    """A tracking store in a file, and one behind a real server."""
    if request.param == "sqlite":
        return connect(store)
    return connect(request.getfixturevalue("mlflow_server").url)


@pytest.fixture
def mlflow_run(client: MlflowClient, tmp_path: Path) -> MlflowRun:
    entity = create_run(client, "contract", "a run")
    return MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id)


def use(run: Run, splits: Splits) -> None:
    """Every method, and those that may be repeated, twice."""
    config = TrainConfig.parse({"hidden": "8"})
    assert run.id
    run.log_params({"a": "1"})
    run.log_tags({"b": "2"})
    run.log_tags({"b": "3"})
    run.log_note("# note")
    run.log_data("train", splits.train, splits.spec, "somewhere")
    for _ in range(2):
        run.log_metrics({"valid/loss": 0.5, "valid/accuracy": float("nan")}, step=1, timestamp_ms=1_700_000_000_000)
    run.log_metrics(
        {"valid/loss": 0.25, "system/cpu_utilization_percentage": 3.0}, step=2, timestamp_ms=1_700_000_001_000
    )
    run.log_file("すべて".encode(), "reports/text.txt")
    run.log_file(b"top", "top.txt")
    for _ in range(2):
        run.log_image(confusion_matrix_image(np.eye(10, dtype=np.int64), SPEC), "valid confusion", 2, 1_700_000_001_000)
    run.log_model(SavedNetwork(build(config), config, SPEC), 2, {"valid/loss": 0.25}, 1_700_000_001_000)


def test_the_contract_of_a_run_that_writes_nothing_down(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run: Run = NullRun()
    use(run, splits)
    assert vars(run) == {}
    assert list(tmp_path.iterdir()) == []


def test_the_contract_in_memory(splits: Splits) -> None:
    run = MemoryRun()
    use(run, splits)
    assert run.params == {"a": "1"}
    assert run.tags == {"b": "3", "note": "# note"}  # a later value replaces an earlier one
    assert run.data == {"train": splits.train.digest}
    assert run.curve("valid/loss") == {1: 0.5, 2: 0.25}
    assert len([point for point in run.points if point[0] == "valid/loss"]) == 2  # the same point again changes nothing
    assert run.files == {"reports/text.txt": "すべて".encode(), "top.txt": b"top"}
    assert set(run.images) == {("valid confusion", 2)}
    [(model, step, metrics)] = run.models
    assert (step, metrics) == (2, {"valid/loss": 0.25})
    assert model.get_parameter("network.fc1.weight").shape == (8, 784)


def test_the_contract_in_mlflow(client: MlflowClient, mlflow_run: MlflowRun, splits: Splits, tmp_path: Path) -> None:
    with mlflow_run as run:
        use(run, splits)
    assert run.unsent_bytes == 0
    assert run.set_aside == 0

    found = client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "a run"
    assert found.data.params == {"a": "1"}
    assert found.data.tags["b"] == "3"
    assert found.data.tags["mlflow.note.content"] == "# note"
    points = [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.id, "valid/loss")]
    assert [p for p in points if p[2] < 1_700_000_002_000] == [
        (1, 0.5, 1_700_000_000_000),
        (2, 0.25, 1_700_000_001_000),
    ]
    assert "system/cpu_utilization_percentage" in found.data.metrics

    assert found.inputs is not None
    [dataset] = found.inputs.dataset_inputs
    assert dataset.dataset.digest == splits.train.digest[:32]
    assert splits.train.digest in str(dataset.dataset.profile)
    assert [tag.value for tag in dataset.tags] == ["train"]

    text = client.download_artifacts(run.id, "reports/text.txt", str(tmp_path))
    assert Path(text).read_text() == "すべて"
    images = [file.path for file in client.list_artifacts(run.id, "images")]
    assert len(images) == 2
    assert all(path.startswith("images/valid confusion+step+2+timestamp+") for path in images)


def test_the_logged_model(
    client: MlflowClient, mlflow_run: MlflowRun, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig.parse({"arch": "dropout", "hidden": "16"})
    network = build(config)
    with mlflow_run as run:
        run.log_data("valid", splits.valid, splits.spec, splits.source)
        run.log_metrics({"valid/loss": 0.25}, 2, 1_700_000_001_000)
        for _ in range(2):  # the second time as after a replay
            run.log_model(SavedNetwork(network, config, SPEC), 2, {"valid/loss": 0.25}, 1_700_000_001_000)
    assert len(client.get_metric_history(run.id, "valid/loss")) == 1  # linking the model doubled nothing
    [model] = client.search_logged_models([client.get_run(run.id).info.experiment_id], f"source_run_id = '{run.id}'")
    assert (model.status, model.name) == ("READY", "dropout")
    [metric] = model.metrics or []
    assert (metric.key, metric.value, metric.step) == ("valid/loss", 0.25, 2)
    assert (metric.dataset_name, metric.dataset_digest) == ("sample-valid", splits.valid.digest[:32])
    outputs = client.get_run(run.id).outputs
    assert outputs is not None
    [output] = outputs.model_outputs
    assert (output.model_id, output.step) == (model.model_id, 2)

    pixels = splits.valid.pixels[:7].astype(np.float32)
    expected = predict(network, torch.from_numpy(pixels)).numpy()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(client.tracking_uri))
    pyfunc = mlflow.pyfunc.load_model(model.model_uri)
    answers = pyfunc.predict(pixels)
    assert [row["class"] for row in answers] == expected.argmax(axis=1).tolist()
    assert np.allclose([row["probability"] for row in answers], np.exp(expected).max(axis=1), atol=1e-6)
    assert answers == pyfunc.predict(pixels)  # dropout is off
    assert pyfunc.metadata.run_id == run.id
    native = mlflow.pytorch.load_model(model.model_uri)
    assert np.allclose(native(torch.from_numpy(pixels)).detach().numpy(), expected, atol=1e-6)
    assert pyfunc.metadata.signature.outputs.input_names()[:2] == ["kana", "romaji"]
    assert pyfunc.metadata.signature.params.params[0].name == "output"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, "FINISHED", "completed"),
        (KeyboardInterrupt(), "KILLED", "interrupted (KeyboardInterrupt)"),
        (ValueError("too hot"), "FAILED", "ValueError: too hot"),
    ],
)
def test_the_status_says_how_a_run_ended(
    error: BaseException | None,
    status: str,
    reason: str,
    client: MlflowClient,
    mlflow_run: MlflowRun,
    tmp_path: Path,
) -> None:
    expected = pytest.raises(type(error)) if error else nullcontext()
    with expected, mlflow_run as run:
        run.log_metrics({"valid/loss": 1.0}, 1)
        if error is not None:
            raise error
    found = client.get_run(mlflow_run.id)
    assert found.info.status == status
    assert found.info.end_time is not None
    assert found.data.tags["end_reason"] == reason
    assert found.data.metrics["valid/loss"] == 1.0
    files = [file.path for file in client.list_artifacts(mlflow_run.id)]
    assert files == (["traceback.txt"] if status == "FAILED" else [])
    if files:
        path = Path(client.download_artifacts(mlflow_run.id, "traceback.txt", str(tmp_path)))
        assert "ValueError: too hot" in path.read_text()
        assert "test_run_contract.py" in path.read_text()


@pytest.mark.parametrize("arch", ["plain", "dropout", "cnn", "resnet", "mixer", "resnet18", "mobilenet_v3_small"])
def test_a_model_of_every_family_is_loaded_without_pickle_at_any_number_of_pictures(arch: str, tmp_path: Path) -> None:
    config = TrainConfig.parse({"arch": arch})
    model = build(config)
    save_model(SavedNetwork(model, config, SPEC), tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype(np.float32)
    expected = predict(model, torch.from_numpy(pixels)).numpy()
    native = mlflow.pytorch.load_model(str(tmp_path / "model"))
    pyfunc = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    ours = load_network(tmp_path / "model").network
    for count in (1, 7):
        found = native(torch.from_numpy(pixels[:count])).detach().numpy()
        assert np.allclose(found, expected[:count], atol=1e-4)
        assert [row["class"] for row in pyfunc.predict(pixels[:count])] == expected[:count].argmax(axis=1).tolist()
        assert np.allclose(predict(ours, torch.from_numpy(pixels[:count])).numpy(), expected[:count], atol=1e-4)
