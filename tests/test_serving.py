"""What a registered model answers: over HTTP, and where this package is not installed."""

import base64
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
    environment = {**os.environ, "MLFLOW_TRACKING_URI": registry, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True)
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
        ([[0, 1], [2]], "images: must be an array of numbers"),
        (np.full((1, 28, 28), 256).tolist(), "pixel values from 256 to 256: must be from 0 to 255"),
        ([], "images of shape (0,): must be (N, 28, 28)"),
        ({"pixels": 1}, "images: must be an array of numbers"),
        (None, "images: must be an array of numbers"),
        (["!"], "picture 0: not base64"),
        ([as_text(np.zeros((28, 28), np.uint8))], "picture 0: nothing is drawn on it"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), base64.b64encode(b"GIF89a").decode()], "picture 1: not a picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255)[:60]], "picture 0: damaged picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), 7], "picture 1: a int among texts"),
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
@pytest.mark.parametrize("body", ["{", "[]", '{"dataframe_records": []}', '{"inputs": [], "instances": []}', "{}"])
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


@pytest.mark.long
def test_it_is_served_where_this_package_is_not_installed(registry: str) -> None:
    script = f"""
import sys
sys.modules["kmnist"] = None  # whoever imports it fails
import mlflow.pyfunc, numpy as np
model = mlflow.pyfunc.load_model({CHAMPION!r})
print(len(model.predict(np.zeros((2, 28, 28)))), [name for name in sys.modules if "kmnist" in name])
"""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": registry}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 [" in done.stdout
    assert "kmnist_model.inference.pictures" in done.stdout
