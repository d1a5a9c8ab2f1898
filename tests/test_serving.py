"""What a registered model answers: over HTTP, and where this package is not installed."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import requests
import torch
from mlflow.exceptions import MlflowException
from PIL import Image

from kmnist.inference import Predictions, read_picture, to_kmnist
from kmnist.inference.classifier import FIELDS
from kmnist.inference.serving import _without_checks
from kmnist.network import load_network
from kmnist.registry import load_model
from tests.champion import CHAMPION, Gray, as_csv, as_json, as_text
from tests.commands import Command, environment
from tests.hostile_models import MARKER
from tests.registered import NAME
from tests.servers import free_port, wait_until_it_answers
from tests.test_pictures import encoded


@pytest.fixture(autouse=True)
def address(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow's own functions look."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)


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
        ({"pixels": 1, "more": 2}, "images: must be an array of numbers"),
        ({"pixels": 1}, "images of shape (): must be (N, 28, 28)"),  # an input with a name, as TensorFlow Serving has
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
        (pd.DataFrame(np.zeros((2, 3))), r"a table of 3 columns \(0, 1, 2\): must have one column of pictures, or 784"),
        (pd.DataFrame({"picture": ["!"]}), "picture 0: not base64"),
        (pd.Series([1.0, 2.0]), r"images of shape \(2,\)"),
        (pd.Series([b"GIF89a"]), "picture 0: not a picture"),
        ([as_text(np.eye(28, dtype=np.uint8) * 255), 7], "picture 1: a int among pictures"),
        ([[0, 1], [2]], "images: must be an array of numbers"),
        ([encoded(Image.new("1", (10_000, 10_000)))], "picture 0: 10000 x 10000 pixels: at most 4,000,000 are read"),
    ],
)
def test_a_table_or_array_of_another_form_is_refused(registry: str, given: Any, wrong: str) -> None:
    with pytest.raises(MlflowException, match=wrong):
        mlflow.pyfunc.load_model(CHAMPION).predict(given)
    with pytest.raises(MlflowException, match="output='kana': must be one of answers, probabilities"):
        mlflow.pyfunc.load_model(CHAMPION).predict(given, params={"output": "kana"})


@pytest.mark.parametrize(
    "given",
    [
        np.full((2, 28, 28), 9j),
        np.zeros((2, 28, 27)),
        np.zeros((2, 1, 28, 28)),
        np.zeros((2, 28, 28), "datetime64[s]"),
        np.zeros((2, 28, 28), [("level", "u1")]),
        np.full((2, 28, 28), None),
        np.full((2, 28, 28), np.nan),
        np.float32(7),
        [[[[[1]]]]],
    ],
    ids=lambda given: f"{np.asarray(given).dtype} {np.shape(given)}",
)
def test_what_the_graph_was_not_exported_for_does_not_reach_it(registry: str, given: Any) -> None:
    """It is called without the checks that it came with."""
    with pytest.raises(MlflowException, match=r"^(images|pixel values|picture 0).*expected "):
        mlflow.pyfunc.load_model(CHAMPION).predict(given)


def test_pixels_of_any_type_and_number_reach_the_graph_as_it_was_exported(registry: str, images: Gray) -> None:
    model = mlflow.pyfunc.load_model(CHAMPION)
    many = np.concatenate([images] * 500)  # (2500, 28, 28), more than are asked about at once
    graph = mlflow.pytorch.load_model(CHAMPION)
    classes = graph(torch.from_numpy(many.astype(np.float32))).argmax(dim=1).tolist()
    for pixels in (many, many.astype(">i8"), many.astype(np.float16), np.asfortranarray(many.astype(np.float64))):
        for count in (0, 1, 2, 3, 2_500):
            assert model.predict(pixels[:count], params={"output": "classes"}).tolist() == classes[:count]


def test_a_graph_of_one_number_of_pictures_is_refused_when_it_is_loaded(saved: Path) -> None:
    exported = torch.export.export(load_network(saved).network, (torch.zeros(2, 28, 28),))
    with pytest.raises(AssertionError, match="size"):
        _without_checks(exported.module(), (28, 28))


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview], ids=lambda wrap: wrap.__name__)
def test_pictures_may_be_any_object_of_bytes(
    registry: str, images: Gray, expected: Predictions, wrap: Callable[[bytes], object]
) -> None:
    pictures = [wrap(base64.b64decode(as_text(image))) for image in images]
    model = mlflow.pyfunc.load_model(CHAMPION)
    for given in (pictures, pd.Series(pictures), pd.DataFrame({"picture": pictures})):
        assert list(model.predict(given, params={"output": "classes"})) == expected.classes.tolist()
    assert [row["class"] for row in model.predict(pictures[0])] == expected.classes.tolist()[:1]


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int8(), pa.binary())],
    ids=str,
)
def test_pictures_may_be_in_any_column_of_bytes_of_arrow(
    registry: str, images: Gray, expected: Predictions, kind: pa.DataType
) -> None:
    contents = [base64.b64decode(as_text(image)) for image in images]
    column = pa.array(contents).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(contents, kind)
    model = mlflow.pyfunc.load_model(CHAMPION)
    table = pa.table({"picture": column})
    for given in (column, table, table.to_pandas(), table.to_pandas(types_mapper=pd.ArrowDtype)):
        assert list(model.predict(given, params={"output": "classes"})) == expected.classes.tolist()


def as_lines(text: str) -> str:
    return "\r\n".join(text[place : place + 76] for place in range(0, len(text), 76))


@pytest.mark.parametrize(
    "written",
    [
        as_lines,
        lambda text: f" {text}\n",
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
        lambda text: f"data:image/png;base64,{as_lines(text)}",
        lambda text: {"b64": text},
        lambda text: {"image": {"b64": text}},
    ],
    ids=["lines of 76 characters", "space around it", "URL-safe", "unpadded", "data URL in lines", "b64", "named b64"],
)
def test_base64_is_read_as_people_have_it(
    registry: str, images: Gray, expected: Predictions, written: Callable[[str], object]
) -> None:
    pictures = [written(as_text(image)) for image in images]
    model = mlflow.pyfunc.load_model(CHAMPION)
    assert [row["class"] for row in model.predict(pictures)] == expected.classes.tolist()
    assert [row["class"] for row in model.predict(pictures[0])] == expected.classes.tolist()[:1]


@pytest.mark.slow
def test_what_mlflow_would_ignore_or_misread_is_said(served: str, images: Gray, expected: Predictions) -> None:
    """Keys that it does not know, and requests that it cannot read: 400 and a line, never a wrong answer."""
    inputs = {"inputs": images.tolist()}
    for body, said in (
        ({**inputs, "parms": {"output": "classes"}}, "unknown key 'parms'; did you mean 'params'?"),
        ({"input": images.tolist()}, "unknown key 'input'; did you mean 'inputs'?"),
        ({"messages": []}, "unknown key 'messages'; the keys are: inputs, instances, dataframe_split,"),
        ({**inputs, "params": {"ouput": "classes"}}, "unknown param 'ouput'; did you mean 'output'?"),
        (
            {**inputs, "params": ["classes"]},
            "params is a list: must be an object, with output or unsure_below or raw in it",
        ),
        ({**inputs, "params": {"output": 5}}, "Invalid parameters found"),
        ({**inputs, "instances": []}, "inputs and instances in the body: must have one of inputs, instances,"),
        ({"params": {}}, "no input in the body: must have one of inputs"),
        ({"dataframe_split": {"columns": [{}], "data": [[1]]}}, "MLflow cannot read this body"),
    ):
        answer = requests.post(served, json=body, timeout=30)
        assert (answer.status_code, answer.json()["message"][: len(said)]) == (400, said)
        assert "Traceback" not in answer.text

    csv = pd.DataFrame(images.reshape(5, -1)).to_csv(index=False, header=False).encode()
    pictures = "\n".join(as_text(image) for image in images).encode()
    whole = json.dumps(inputs).encode()
    for content, headers, said in (
        (csv, {"Content-Type": "text/csv"}, "columns of pixels that are named"),
        (pictures, {"Content-Type": "text/csv"}, "the name of the only column is a picture: if this is a CSV without"),
        (b"", {"Content-Type": "text/csv"}, "Failed to parse input as a Pandas DataFrame"),
        (b"PAR1", {"Content-Type": "application/vnd.apache.parquet"}, "Failed to parse input as a Pandas DataFrame"),
        (whole, {}, "the request has no Content-Type: must be application/json, text/csv or application/vnd.apache"),
        (whole, {"Content-Type": "text/plain"}, "Content-Type 'text/plain': must be application/json, text/csv or"),
        (whole, {"Content-Type": "application/json; charset=latin-1"}, "charset 'latin-1': must be utf-8"),
        (whole, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, "Content-Encoding 'gzip': send the"),
        (whole[:-1], {"Content-Type": "application/json"}, "the body is not JSON"),
        (b"[1]", {"Content-Type": "application/json"}, "the body is a JSON list: must be an object like"),
    ):
        answer = requests.post(served, data=content, headers=headers, timeout=30)
        assert (answer.status_code, answer.json()["message"][: len(said)]) == (400, said)
        assert "Traceback" not in answer.text

    # Names of media types have no case, and parameters that say nothing about the text change nothing.
    classes = {"predictions": expected.classes.tolist()}
    asked = json.dumps({**inputs, "params": {"output": "classes"}}).encode()
    for kind in ("Application/JSON", 'application/json; charset="UTF-8"', "application/json; format=pandas-records"):
        answer = requests.post(served, data=asked, headers={"Content-Type": kind}, timeout=30)
        assert (answer.status_code, answer.json()) == (200, classes)


@pytest.mark.slow
def test_columns_in_another_order_are_answered_as_their_pixels_lie(
    served: str, images: Gray, expected: Predictions
) -> None:
    """Encoders that sort keys (Go's, Python's with ``sort_keys``) put pixel 10 before pixel 2."""
    table = pd.DataFrame(images.reshape(5, -1)).rename(columns=str)
    table = table[sorted(table.columns)]
    for body, kind in (
        as_json("dataframe_records", table.to_dict("records")),
        as_json("dataframe_split", table.to_dict("split", index=False)),
        as_csv(table),
        (table.to_parquet(), "application/vnd.apache.parquet"),
    ):
        answer = requests.post(served, data=body, headers={"Content-Type": kind}, timeout=30)
        assert [row["class"] for row in answer.json()["predictions"]] == expected.classes.tolist()


@pytest.mark.slow
def test_an_address_in_use_is_said_in_one_line_and_at_once(
    served: str, registry: str, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # nobody is asked for the model
    port = served.rpartition(":")[2].partition("/")[0]
    done = kmnist_command("serve", "--port", port)
    said = f"kmnist: 127.0.0.1 port {port} cannot be used: Address already in use; choose others with --host and --port"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{said}\n")


@pytest.mark.slow
def test_every_form_of_a_request_is_answered(served: str, images: Gray, expected: Predictions) -> None:
    classes = expected.classes.tolist()
    pictures = pd.DataFrame({"picture": [as_text(image) for image in images]})
    pixels = pd.DataFrame(images.reshape(5, -1)).rename(columns=str)
    bodies = [as_json("instances", pictures["picture"].tolist()), as_json("instances", images.tolist())]
    for table in (pictures, pixels):
        bodies += [as_csv(table), as_json("dataframe_records", table.to_dict("records"))]
        bodies.append(as_json("dataframe_split", table.to_dict("split", index=False)))
        bodies.append((table.to_parquet(), "application/vnd.apache.parquet"))
    for body, kind in bodies:
        answer = requests.post(served, data=body, headers={"Content-Type": kind}, timeout=30)
        assert answer.status_code == 200, answer.text
        assert [row["class"] for row in answer.json()["predictions"]] == classes, body[:60]
    asked = {"inputs": pictures["picture"].tolist(), "params": {"output": "classes"}}
    assert requests.post(served, json=asked, timeout=30).json() == {"predictions": classes}
