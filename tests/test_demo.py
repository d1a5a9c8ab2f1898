"""The page to draw on: what is behind it, and the real command with a real browser before it."""

import re
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest
import requests
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect

import kmnist.cli.demo
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.kmnist import CLASSES
from kmnist.demo.answer import PREFIX, answer
from kmnist.demo.page import HINT, respond
from kmnist.experiment import NullRun, Splits, prepare
from kmnist.inference import Classifier
from kmnist.registry import load_model
from tests.commands import Command, environment
from tests.nets import train

TSU = [(40, 130), (120, 95), (200, 90), (255, 120), (262, 175), (225, 220), (150, 235)]


def url_of(image: Image.Image) -> str:
    content = BytesIO()
    image.save(content, "PNG")
    return PREFIX + b64encode(content.getvalue()).decode()


def drawing_of(points: list[tuple[int, int]]) -> str:
    """A stroke, as the sketchpad sends it: black where ink is, transparent elsewhere."""
    image = Image.new("RGBA", (320, 320))
    pen = ImageDraw.Draw(image)
    pen.line(points, "black", 22, "curve")
    for x, y in (points[0], points[-1]):
        pen.circle((x, y), 11, "black")
    return url_of(image)


@pytest.fixture(scope="module")
def model(splits: Splits, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint, of a moment's training."""
    folder = tmp_path_factory.mktemp("model")
    train(config, splits, NullRun(), folder)
    return folder


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return load_model(str(model))


def shown_of(classifier: Classifier, drawing: str) -> tuple[str, str, list[str]]:
    """What the page must show about a drawing: kana, romaji, and the probability of each class."""
    said = answer(classifier, drawing).predictions
    return said.kana[0], said.romaji[0], [f"{probability:.1%}" for probability in said.probabilities[0]]


def test_a_drawing_gets_an_answer(classifier: Classifier) -> None:
    drawing = drawing_of(TSU)
    kana, romaji, percents = shown_of(classifier, drawing)
    html = respond(classifier, drawing)
    assert f'<div class="kana" lang="ja">{kana}</div><div><div class="romaji">{romaji}</div>' in html
    assert re.findall(r'<td class="percent">([^<]+)', html) == percents
    seen: npt.NDArray[np.uint8] = answer(classifier, drawing).seen
    assert seen.shape == (28, 28)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert np.ptp(columns) + 1 == 28  # cropped, scaled
    assert 28 - rows[-1] - 1 - rows[0] in (0, 1)  # and centred


@pytest.mark.real_data
def test_a_tsu_is_read_by_a_network_of_old_books(kmnist: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse({"hidden": "128", "epochs": 2, "precision": "fp32"})
    train(config, prepare(config, kmnist), NullRun(), tmp_path)
    said = answer(load_model(str(tmp_path)), drawing_of(TSU)).predictions
    assert said.kana == ["つ"]
    assert said.probabilities.max() > 0.9


def test_an_empty_sketchpad_gets_a_hint(classifier: Classifier) -> None:
    assert respond(classifier, url_of(Image.new("RGBA", (320, 320)))) == f'<p class="hint">{HINT.format(10)}</p>'


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (None, "not a drawing: must be text that begins with data:image/png;base64,"),
        ({"path": "/etc/passwd"}, "not a drawing"),
        ("data:text/html,<script>", "not a drawing"),
        (PREFIX + "???", "damaged drawing: not base64"),
        (PREFIX + "つ", "damaged drawing: not base64"),
        (PREFIX, "not a picture"),
        (PREFIX + b64encode(b"nothing").decode(), "not a picture"),
        (PREFIX + "A" * 500_000, "a drawing of 500,022 characters: must be at most 400,000"),
        (url_of(Image.new("L", (2_000, 2_000))), "2000 x 2000 pixels: at most 1,000,000 are read"),
    ],
)
def test_what_is_no_drawing_gets_a_short_message(drawing: Any, message: str, classifier: Classifier) -> None:
    html = respond(classifier, drawing)
    assert message in html
    assert len(html) < 200


def test_what_keeps_it_from_opening_is_one_line(kmnist_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def error_of(*arguments: str) -> str:
        done = kmnist_command("demo", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1
        return done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1 port {port} cannot be used: Address already in use; choose" in error_of("--port", port)
    assert "port 99999: must be from 0 to 65535" in error_of("--port", "99999")
    assert "192.0.2.1 port 0 cannot be used: " in error_of("--host", "192.0.2.1", "--port", "0")  # not of this machine
    assert "there is no registered model 'kmnist'" in error_of("--port", "0")
    monkeypatch.setattr(kmnist.cli.demo, "find_spec", lambda name: None)
    assert error_of() == "kmnist: the demo needs the package gradio: pip install -e '.[demo]'\n"


COMMAND = ["-m", "kmnist"]
TELLING_WHOM_IT_ASKS = ["-c", """
import sys
from kmnist.__main__ import main
asking = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
sys.addaudithook(lambda event, what: event in asking and "127.0.0.1" not in str(what) and print(event, what))
main()
"""]  # fmt: skip


@contextmanager
def running(start: list[str], model: Path, store: str, ended_by: signal.Signals) -> Iterator[str]:
    """The address of a demo in a process of its own, which ends by a signal, with its status, and without a word."""
    command = [sys.executable, *start, "demo", "--model", str(model), "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment(store)) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line + process.communicate(timeout=60)[1]
            yield found[0]
            process.send_signal(ended_by)
            assert process.communicate(timeout=30) == ("", "")
            assert process.returncode == 128 + ended_by
        finally:
            process.kill()


@pytest.mark.slow
def test_it_asks_nobody_and_whoever_reaches_it_can_only_draw(model: Path, classifier: Classifier, store: str) -> None:
    with running(TELLING_WHOM_IT_ASKS, model, store, signal.SIGTERM) as address:
        page = requests.get(address, timeout=30)
        assert page.ok
        found = re.search(r'"id":\s*(\d+),\s*"type":\s*"html"', page.text)
        assert found
        call = {"component_id": int(found[1]), "fn_name": "look", "session_hash": "s", "data": drawing_of(TSU)}

        def post(path: str, **content: Any) -> requests.Response:
            return requests.post(f"{address}/gradio_api/{path}", timeout=30, **content)

        assert post("component_server/", json=call).json() == respond(classifier, drawing_of(TSU))
        assert "not a drawing" in post("component_server/", json={**call, "data": [{"path": "/etc/passwd"}]}).json()
        malformed: Any
        for malformed in ({**call, "component_id": 999}, {**call, "fn_name": "__init__"}, {}, [], "drawing"):
            refused = post("component_server/", json=malformed)
            assert refused.status_code in (400, 404, 422, 500)
            assert len(refused.text) < 300
        assert post("component_server/", data="{").status_code == 400
        assert post("component_server/", data=b"A" * 600_000).status_code == 413
        assert post("upload", files={"files": b"mine"}).status_code == 404
        assert post("queue/join", json={"data": []}).status_code == 404
        for path in (
            "gradio_api/info",
            "gradio_api/openapi.json",
            "config",
            "monitoring",
            "docs",
            "gradio_api/file=/etc",
        ):
            assert requests.get(f"{address}/{path}", timeout=30).status_code == 404, path
        assert post("component_server/", json=call).ok


def draw(page: Page, points: list[tuple[int, int]]) -> None:
    """Go on with a stroke, from the first point (in pixels of the sketchpad) to the last."""
    frame = page.locator("canvas").bounding_box()
    assert frame is not None
    for x, y in points:
        page.mouse.move(frame["x"] + x * frame["width"] / 320, frame["y"] + y * frame["height"] / 320, steps=5)


def expect_answer(page: Page, classifier: Classifier) -> list[str]:
    """Wait until the page says what the model says about what is drawn by now; the probabilities."""
    drawing = page.evaluate("document.querySelector('canvas').toDataURL()")
    kana, romaji, percents = shown_of(classifier, drawing)
    expect(page.locator("td.percent")).to_have_text(percents)
    expect(page.locator(".kana")).to_have_text(kana)
    expect(page.locator(".romaji")).to_have_text(romaji)
    return percents


@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, pytest.param(400, marks=pytest.mark.long)])
def test_answers_change_while_one_draws(
    width: int, browser: Browser, model: Path, classifier: Classifier, store: str
) -> None:
    with running(COMMAND, model, store, signal.SIGINT) as address, browser.new_context(has_touch=True) as context:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 800})
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        hint = page.locator(".hint")
        expect(hint).to_have_text(HINT.format(10))
        expect(page.locator("header")).to_contain_text(str(model))
        expect(page.locator("ul b")).to_have_text([label.glyph for label in CLASSES])

        draw(page, TSU[:1])
        page.mouse.down()
        draw(page, TSU[1:3])
        first = expect_answer(page, classifier)
        draw(page, TSU[3:])
        second = expect_answer(page, classifier)  # the stroke has not ended
        page.mouse.up()
        assert second != first
        draw(page, [(60, 40)])
        page.mouse.down()
        draw(page, [(80, 300)])
        page.mouse.up()
        assert expect_answer(page, classifier) != second

        page.get_by_role("button", name="Clear").click()
        expect(hint).to_have_text(HINT.format(10))
        page.locator("canvas").tap()
        expect(page.locator(".kana")).to_be_visible()
        expect_answer(page, classifier)
        assert page.evaluate("document.documentElement.scrollWidth") <= width

        assert complaints == []
        assert any("component_server" in url for url in asked)
        assert {urlsplit(url).hostname for url in asked if not url.startswith("data:")} == {"127.0.0.1"}
