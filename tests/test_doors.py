"""The doors of other tools: what they answer with the registered model, where this package is not installed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from kmnist.data import Dataset
from kmnist.inference import Predictions
from kmnist.registry import load_model
from tests.champion import CHAMPION, Gray, as_csv, as_json, as_text
from tests.commands import environment
from tests.servers import free_port, wait_until_it_answers


def elsewhere(registry: str, folder: Path, script: str) -> str:
    """What a script prints where this package is not installed."""
    script = "import sys\nsys.modules['kmnist'] = None  # whoever imports it fails\n" + script
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment(registry),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_mlflow_evaluates_it_and_comes_to_the_runs_numbers(registry: str, drawn: Dataset, tmp_path: Path) -> None:
    np.savez(tmp_path / "test.npz", pixels=drawn.test.pixels, labels=drawn.test.labels)
    printed = elsewhere(
        registry,
        tmp_path,
        f"""
import mlflow, numpy as np, pandas as pd
data = np.load("test.npz")
pixels, labels = data["pixels"].reshape(len(data["labels"]), -1), data["labels"]
table = pd.DataFrame(pixels).rename(columns=str).assign(label=labels)
for given in ({{"data": table, "targets": "label"}}, {{"data": pixels, "targets": labels}}):
    with mlflow.start_run():
        found = mlflow.models.evaluate(
            {CHAMPION!r}, **given, model_type="classifier", model_config={{"output": "classes"}}
        )
    print(found.metrics["accuracy_score"])
""",
    )
    accuracy = load_model(CHAMPION, tracking_uri=registry).predict(drawn.test.pixels).classes == drawn.test.labels
    assert [float(line) for line in printed.split()] == [accuracy.mean()] * 2


@pytest.mark.long
def test_onnxruntime_runs_what_torch_exports_of_it(
    registry: str, images: Gray, expected: Predictions, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", images.astype(np.float32))
    printed = elsewhere(
        registry,
        tmp_path,
        f"""
import mlflow.pytorch, numpy as np, onnxruntime, torch
images, network = np.load("images.npy"), mlflow.pytorch.load_model({CHAMPION!r})
several = ({{0: torch.export.Dim("pictures")}},)
torch.onnx.export(
    network, (torch.from_numpy(images[:2]),), "model.onnx", dynamo=True, dynamic_shapes=several, verbose=False
)
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
[answers] = session.run(None, {{session.get_inputs()[0].name: images}})
assert np.allclose(answers, network(torch.from_numpy(images)).detach().numpy(), atol=1e-4)
print(*answers.argmax(axis=1))
""",
    )
    assert printed.split() == [str(number) for number in expected.classes]


@pytest.mark.long
def test_spark_answers_for_a_column_of_pictures(
    registry: str, images: Gray, expected: Predictions, tmp_path: Path
) -> None:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java (Debian: apt install default-jre-headless)")
    pd.DataFrame({"picture": [as_text(image) for image in images]}).to_csv(tmp_path / "pictures.csv", index=False)
    printed = elsewhere(
        registry,
        tmp_path,
        f"""
import mlflow
from pyspark.sql import SparkSession
local = SparkSession.builder.master("local[1]").config("spark.driver.bindAddress", "127.0.0.1")
spark = local.config("spark.ui.enabled", "false").getOrCreate()
table = spark.read.csv("pictures.csv", header=True)
answer = mlflow.pyfunc.spark_udf(spark, {CHAMPION!r}, env_manager="local")
for row in table.select(answer("picture").alias("answer")).collect():
    print(row.answer["class"], row.answer.kana)
""",
    )
    assert printed.split() == [str(part) for pair in zip(expected.classes, expected.kana) for part in pair]


def without_us(registry: str, folder: Path) -> dict[str, str]:
    """An environment in which every Python begins without this package: whoever imports it fails."""
    (folder / "python").mkdir()
    (folder / "python" / "sitecustomize.py").write_text("import sys\nsys.modules['kmnist'] = None\n")
    return {**environment(registry), "PYTHONPATH": str(folder / "python")}


@pytest.mark.long
@pytest.mark.parametrize("form", ["json", "csv"])
def test_mlflow_predicts_files(form: str, registry: str, images: Gray, expected: Predictions, tmp_path: Path) -> None:
    table = pd.DataFrame({"picture": [as_text(image) for image in images]})
    body, _ = as_csv(table) if form == "csv" else as_json("dataframe_split", table.to_dict("split", index=False))
    (tmp_path / "in").write_bytes(body)
    command = ["-m", "mlflow", "models", "predict", "-m", CHAMPION, "-i", "in", "-o", "out", "-t", form]
    done = subprocess.run(
        [sys.executable, *command, "--env-manager", "local"],
        capture_output=True, text=True, timeout=100, env=without_us(registry, tmp_path), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "out").read_text())["predictions"]
    assert [row["class"] for row in answers] == expected.classes.tolist()


@pytest.mark.long
def test_mlflow_serves_every_form_of_a_request(
    registry: str, images: Gray, expected: Predictions, tmp_path: Path
) -> None:
    port, table = free_port(), pd.DataFrame({"picture": [as_text(image) for image in images]})
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", CHAMPION, "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local"],
            stdout=log, stderr=log, env=without_us(registry, tmp_path), cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", process, tmp_path / "log")
        for body, kind in (
            as_json("inputs", images.tolist()),
            as_json("instances", table["picture"].tolist()),
            as_json("dataframe_split", table.to_dict("split", index=False)),
            as_json("dataframe_records", table.to_dict("records")),
            as_csv(table),
            (table.to_parquet(), "application/vnd.apache.parquet"),
        ):
            url = f"http://127.0.0.1:{port}/invocations"
            answer = requests.post(url, data=body, headers={"Content-Type": kind}, timeout=60)
            assert answer.status_code == 200, answer.text
            assert [row["class"] for row in answer.json()["predictions"]] == expected.classes.tolist(), kind
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.long
def test_it_is_served_where_this_package_is_not_installed(registry: str, tmp_path: Path) -> None:
    printed = elsewhere(
        registry,
        tmp_path,
        f"""
import mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model({CHAMPION!r})
print(len(model.predict(np.zeros((2, 28, 28)))), [name for name in sys.modules if "kmnist" in name])
""",
    )
    assert "2 [" in printed
    assert "kmnist_model.inference.pictures" in printed


@pytest.mark.ray
def test_ray_data_maps_batches(registry: str, images: Gray, expected: Predictions, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", images)
    pd.DataFrame({"picture": [as_text(image) for image in images]}).to_parquet(tmp_path / "pictures.parquet")
    printed = elsewhere(
        registry,
        tmp_path,
        f"""
import mlflow.pyfunc, numpy as np, ray
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
ray.data.DataContext.get_current().enable_progress_bars = False

class Answers:
    def __init__(self):
        sys.modules["kmnist"] = None
        self.model = mlflow.pyfunc.load_model({CHAMPION!r})

    def __call__(self, batch):
        return self.model.predict(batch)

class Classes(Answers):
    def __call__(self, batch):
        return {{"class": self.model.predict(batch["data"], params={{"output": "classes"}})}}

tables = ray.data.read_parquet("pictures.parquet").map_batches(Answers, batch_format="pandas", concurrency=1)
arrays = ray.data.from_numpy(np.load("images.npy")).map_batches(Classes, batch_size=2, concurrency=1)
for row in tables.take_all():
    print(row["class"], row["kana"])
print(*sorted(row["class"] for row in arrays.take_all()))
""",
    )
    answers, classes = printed.split()[: 2 * len(images)], printed.split()[2 * len(images) :]
    assert sorted(zip(answers[::2], answers[1::2])) == sorted(zip(map(str, expected.classes), expected.kana))
    assert sorted(classes) == sorted(map(str, expected.classes))
