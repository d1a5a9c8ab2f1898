"""What a registered model answers: over HTTP, and where this package is not installed."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import requests
from mlflow.exceptions import MlflowException
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import prepare
from kmnist.inference import Predictions, read_picture, to_kmnist
from kmnist.inference.classifier import FIELDS
from kmnist.registry import load_model, promote
from kmnist.tracking import MlflowRun, connect, create_run
from tests.commands import environment
from tests.hostile_models import MARKER, RUNNING
from tests.nets import train
from tests.registered import NAME
from tests.servers import free_port, wait_until_it_answers

CHAMPION = f"models:/{NAME}@champion"
Gray = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def registry(template_store: Path, drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a store whose champion knows the drawn images, and so does ``served``, with hostile files."""
    folder = tmp_path_factory.mktemp("registry")
    shutil.copy(template_store, folder / "mlflow.db")
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    config = TrainConfig.parse({"hidden": "64", "epochs": 4, "batch_size": 32, "precision": "fp32"})
    client.create_experiment("e", artifact_location=str(folder / "artifacts"))
    entity = create_run(client, "e", "a run")
    with MlflowRun(client, entity, folder / "run") as run:
        train(config, prepare(config, drawn), run, run.folder)
    [model] = client.search_logged_models([entity.info.experiment_id])
    client.create_registered_model(NAME)
    client.create_model_version(NAME, model.artifact_location, run.id, model_id=model.model_id)
    promote(client, "1", "champion", drawn, force=True)
    hostile = shutil.copytree(model.artifact_location, folder / "hostile")
    for edit in RUNNING.values():
        edit(hostile)
    client.create_model_version(NAME, str(hostile), run.id)
    promote(client, "2", "served", drawn, force=True)
    return str(client.tracking_uri)


@pytest.fixture(scope="module")
def images(drawn: Dataset) -> Gray:
    """Five pictures in a form that ``to_kmnist`` leaves as it is, (5, 28, 28)."""
    return np.stack([to_kmnist(to_kmnist(image)) for image in drawn.test.pixels[:5]])


@pytest.fixture
def expected(registry: str, images: Gray) -> Predictions:
    """What the champion says of them."""
    return load_model(CHAMPION, tracking_uri=registry).predict(images)


@pytest.fixture(scope="module")
def served(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a model is served whose files run a command wherever they are loaded; here they are not."""
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    command = [sys.executable, "-m", "kmnist", "serve", "--model", f"models:/{NAME}@served", "--port", str(port)]
    own = {**environment(registry), "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=own, cwd=folder, start_new_session=True)
    wait_until_it_answers(f"http://127.0.0.1:{port}/ping", process, folder / "log")
    yield f"http://127.0.0.1:{port}/invocations"
    process.terminate()  # this one only: it ends those that it has started
    status = process.wait(30)
    gone = wait_until_it_is_gone(port)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert (status, gone) == (128 + signal.SIGTERM, True)
    assert not list(folder.glob("kmnist-serve-*"))
    assert not list(Path(registry.removeprefix("sqlite:///")).parent.glob(MARKER))


def wait_until_it_is_gone(port: int) -> bool:
    """Whether nobody answers any more, within a few seconds."""
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return True
        time.sleep(0.1)
    return False


def as_text(image: Gray, form: str = "png", side: int = 28) -> str:
    """A picture as base64."""
    content = BytesIO()
    Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(content, form)
    return base64.b64encode(content.getvalue()).decode()


@pytest.mark.slow
def test_pixels_and_pictures_are_answered_as_in_process(served: str, images: Gray, expected: Predictions) -> None:
    for inputs in (images.tolist(), [as_text(image) for image in images]):
        answer = requests.post(served, json={"inputs": inputs}, timeout=30)
        assert answer.status_code == 200, answer.text
        rows = answer.json()["predictions"]
        assert [tuple(row) for row in rows] == [tuple(FIELDS)] * 5
        assert [(row["kana"], row["romaji"], row["class"]) for row in rows] == list(
            zip(expected.kana, expected.romaji, expected.classes.tolist())
        )
        assert [row["probability"] for row in rows] == pytest.approx(
            expected.probabilities.max(axis=1).tolist(), abs=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inputs", "wrong"),
    [
        (np.zeros((2, 14, 14)).tolist(), "images of shape (2, 14, 14): must be (N, 28, 28)"),
        (np.full((1, 28, 28), 256).tolist(), "pixel values from 256 to 256: must be from 0 to 255"),
        ([], "images of shape (0,): must be (N, 28, 28)"),
        ({"pixels": 1}, "images: must be an array of numbers"),
        (None, "images: must be an array of numbers"),
        (["!"], "picture 0: not base64"),
        ([as_text(np.zeros((28, 28), np.uint8))], "picture 0: nothing is drawn on it"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), base64.b64encode(b"GIF89a").decode()], "picture 1: not a picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255)[:60]], "picture 0: damaged picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), 7], "picture 1: not base64"),
    ],
)
def test_a_bad_request_gets_a_400_that_says_what_was_expected(served: str, inputs: Any, wrong: str) -> None:
    answer = requests.post(served, json={"inputs": inputs}, timeout=30)
    assert answer.status_code == 400
    message = answer.json()["message"]
    assert message.startswith(wrong)
    assert "expected {" in message
    assert len(message) < 500  # MLflow would have put the request before it
    assert "Traceback" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    ["{", "[]", '{"dataframe_records": []}', '{"inputs": [], "instances": []}', "{}", '{"inputs": [[0, 1], [2]]}'],
)
def test_a_request_of_another_form_gets_a_400(served: str, body: str) -> None:
    answer = requests.post(served, data=body, headers={"Content-Type": "application/json"}, timeout=30)
    assert answer.status_code == 400, answer.text


def test_any_picture_that_can_be_predicted_can_be_sent(registry: str, images: Gray) -> None:
    model = mlflow.pyfunc.load_model(CHAMPION)
    dark_on_light = [as_text(255 - image, "webp", 200) for image in images]
    seen = np.stack([to_kmnist(read_picture(base64.b64decode(text))) for text in dark_on_light])
    expected = load_model(CHAMPION, tracking_uri=registry).predict(seen)
    assert [row["class"] for row in model.predict(dark_on_light)] == expected.classes.tolist()
    url = f"data:image/webp;base64,{dark_on_light[0]}"
    assert [row["kana"] for row in model.predict([url])] == expected.kana[:1]
    with pytest.raises(MlflowException, match=r"expected .*base64"):
        model.predict("a text")


def test_a_table_is_answered_by_a_table_and_the_output_can_be_chosen(
    registry: str, images: Gray, expected: Predictions
) -> None:
    model = mlflow.pyfunc.load_model(CHAMPION)
    classes = expected.classes.tolist()
    pictures = pd.DataFrame({"picture": [as_text(image) for image in images]}, index=list("abcde"))
    pixels = pd.DataFrame(images.reshape(5, -1))
    for table in (pictures, pixels, pictures["picture"], pictures["picture"].astype(object)):
        answers = model.predict(table)
        assert list(answers.columns) == list(FIELDS)
        assert (answers["class"].tolist(), answers.index.tolist()) == (classes, table.index.tolist())
        assert model.predict(table, params={"output": "classes"}).tolist() == classes
    answers = model.predict(pixels, params={"unsure_below": 1.0})
    assert answers["unsure"].tolist() == [True] * 5
    found = model.predict(pixels, params={"output": "probabilities"})
    assert list(found.columns) == [label.text for label in expected.spec.classes]
    assert np.allclose(found.to_numpy(), expected.probabilities)
    flat = model.predict(images.reshape(5, -1), params={"output": "log_probabilities"})
    assert np.allclose(np.exp(flat), expected.probabilities, atol=1e-6)
    for one in (images[0], images[0].tolist(), images[0].ravel(), as_text(images[0])):
        assert [row["class"] for row in model.predict(one)] == classes[:1]
    assert [row["class"] for row in model.predict([base64.b64decode(as_text(image)) for image in images])] == classes


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (np.full((1, 28, 28), 0.5), "pixel values from 0 to 1: must be from 0 to 255; multiply them by 255"),
        (pd.DataFrame(np.zeros((2, 3))), r"images of shape \(\d, 2, 3\)"),
        (pd.DataFrame({"picture": ["!"]}), "picture 0: not base64"),
        (pd.Series([1.0, 2.0]), r"images of shape \(2,\)"),
        (pd.Series([b"GIF89a"]), "picture 0: not a picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), 7], "picture 1: a int among pictures"),
        ([[0, 1], [2]], "images: must be an array of numbers"),
    ],
)
def test_a_table_or_array_of_another_form_is_refused(registry: str, given: Any, wrong: str) -> None:
    with pytest.raises(MlflowException, match=wrong):
        mlflow.pyfunc.load_model(CHAMPION).predict(given)
    with pytest.raises(MlflowException, match="output='kana': must be one of answers, probabilities"):
        mlflow.pyfunc.load_model(CHAMPION).predict(given, params={"output": "kana"})


def as_csv(table: pd.DataFrame) -> tuple[bytes, str]:
    return table.to_csv(index=False).encode(), "text/csv"


def as_json(form: str, value: Any) -> tuple[bytes, str]:
    return json.dumps({form: value}).encode(), "application/json"


@pytest.mark.slow
def test_every_form_of_a_request_is_answered(served: str, images: Gray, expected: Predictions) -> None:
    classes = expected.classes.tolist()
    pictures = pd.DataFrame({"picture": [as_text(image) for image in images]})
    pixels = pd.DataFrame(images.reshape(5, -1)).rename(columns=str)
    bodies = [as_json("instances", pictures["picture"].tolist()), as_json("instances", images.tolist())]
    for table in (pictures, pixels):
        bodies += [as_csv(table), as_json("dataframe_records", table.to_dict("records"))]
        bodies.append(as_json("dataframe_split", table.to_dict("split", index=False)))
    for body, kind in bodies:
        answer = requests.post(served, data=body, headers={"Content-Type": kind}, timeout=30)
        assert answer.status_code == 200, answer.text
        assert [row["class"] for row in answer.json()["predictions"]] == classes, body[:60]
    asked = {"inputs": pictures["picture"].tolist(), "params": {"output": "classes"}}
    assert requests.post(served, json=asked, timeout=30).json() == {"predictions": classes}


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
@pytest.mark.timeout(300)
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


@pytest.mark.long
@pytest.mark.parametrize("form", ["json", "csv"])
def test_mlflow_predicts_files(form: str, registry: str, images: Gray, expected: Predictions, tmp_path: Path) -> None:
    table = pd.DataFrame({"picture": [as_text(image) for image in images]})
    body, _ = as_csv(table) if form == "csv" else as_json("dataframe_split", table.to_dict("split", index=False))
    (tmp_path / "in").write_bytes(body)
    command = ["-m", "mlflow", "models", "predict", "-m", CHAMPION, "-i", "in", "-o", "out", "-t", form]
    done = subprocess.run(
        [sys.executable, *command, "--env-manager", "local"],
        capture_output=True, text=True, timeout=100, env=environment(registry), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads((tmp_path / "out").read_text())["predictions"]
    assert [row["class"] for row in answers] == expected.classes.tolist()


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
