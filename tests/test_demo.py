"""The page to draw on and to give photographs to: the real command, with a real browser before it."""

import re
import signal
import socket
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pytest
import requests
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, BrowserContext, expect

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.kmnist import CLASSES
from kmnist.demo.app import MOST_BYTES, SENT_AS, answer_to
from kmnist.demo.serve import host_names
from kmnist.errors import NothingDrawn
from kmnist.experiment import NullRun, Splits, prepare
from kmnist.inference import Classifier
from kmnist.listening import listen
from kmnist.pictures.formats import READABLE
from kmnist.pictures.skipped import Skipped
from kmnist.prediction import decoding
from kmnist.prediction.sources import find_pictures
from kmnist.registry import load_model
from tests.commands import Command, environment
from tests.nets import train
from tests.test_hostile_pictures import png
from tests.test_pictures import encoded

TSU = [(40, 130), (120, 95), (200, 90), (255, 120), (262, 175), (225, 220), (150, 235)]
HINT = "Draw a character, or drop, paste or choose a picture of one."
NOT_A_PICTURE = f"not a picture; {READABLE} can be read"
REFUSED = (
    "error: Failed to load resource: the server responded with a status of 422 "
    f"({HTTPStatus.UNPROCESSABLE_ENTITY.phrase})"  # which Python 3.13 has renamed
)
COPY = """async (png) => {
  const blob = new Blob([Uint8Array.from(atob(png), (byte) => byte.charCodeAt())], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
}"""
FILE = """(name) => {
  const data = new DataTransfer();
  data.items.add(new File(["nothing"], name));
  return data;
}"""
BOMB = png(width=9_000, height=9_000)
TOO_MANY_PIXELS = "9000 x 9000 pixels: at most 50,000,000 are read; shrink it"


def drawing_of(points: list[tuple[int, int]], size: tuple[int, int] = (320, 320)) -> Image.Image:
    """A black stroke on white paper."""
    image = Image.new("L", size, "white")
    pen = ImageDraw.Draw(image)
    pen.line(points, "black", 22, "curve")
    for x, y in (points[0], points[-1]):
        pen.circle((x, y), 11, "black")
    return image


def photograph(path: Path) -> Path:
    """Of the same stroke, with the light from the left, by a phone that was held upright."""
    paper = np.asarray(drawing_of(TSU, (480, 320)), np.float32) * np.linspace(0.9, 0.5, 480, dtype=np.float32)
    turned = Image.fromarray(paper.astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned back by who shows it
    turned.save(path, "JPEG", exif=exif)
    return path


@pytest.fixture(scope="module")
def model(splits: Splits, config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a checkpoint, of a moment's training."""
    folder = tmp_path_factory.mktemp("model")
    train(config, splits, NullRun(), folder)
    return folder


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return load_model(str(model))


def seen_in(answer: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """What the page shows as what the network sees."""
    return np.asarray(Image.open(BytesIO(b64decode(answer["seen"].removeprefix("data:image/png;base64,")))))


def test_a_drawing_gets_an_answer(classifier: Classifier) -> None:
    answer = answer_to(classifier, encoded(drawing_of(TSU)))
    seen = seen_in(answer)
    predictions = classifier.predict(seen)
    [row] = predictions.rows()
    assert [candidate["glyph"] for candidate in answer["candidates"]] == [row["kana"], row["second"], row["third"]]
    assert [candidate["text"] for candidate in answer["candidates"]][:1] == predictions.romaji
    probabilities = [row["probability"], row["second_probability"], row["third_probability"]]
    assert [candidate["probability"] for candidate in answer["candidates"]] == probabilities
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert np.ptp(columns) + 1 == 28  # cropped, scaled
    assert 28 - rows[-1] - 1 - rows[0] in (0, 1)  # and centred


def test_a_photograph_is_read_as_kmnist_predict_reads_it(classifier: Classifier, tmp_path: Path) -> None:
    path = photograph(tmp_path / "photo.jpg")
    found = decoding.prepare(list(find_pictures([str(path)], BytesIO(), Skipped())), classifier.spec, raw=False)
    np.testing.assert_array_equal(seen_in(answer_to(classifier, path.read_bytes())), found.images[0])


@pytest.mark.real_data
def test_a_tsu_is_read_by_a_network_of_old_books(kmnist: Dataset, tmp_path: Path) -> None:
    config = TrainConfig.parse({"hidden": "128", "epochs": 2, "precision": "fp32"})
    train(config, prepare(config, kmnist), NullRun(), tmp_path)
    classifier = load_model(str(tmp_path))
    for content in (encoded(drawing_of(TSU)), photograph(tmp_path / "photo.jpg").read_bytes()):
        best = answer_to(classifier, content)["candidates"][0]
        assert best["glyph"] == "つ"
        assert best["probability"] > 0.9


def test_an_empty_picture_is_told(classifier: Classifier) -> None:
    with pytest.raises(NothingDrawn):
        answer_to(classifier, encoded(Image.new("L", (320, 320), "white")))


def test_a_strangers_name_leads_to_no_page_of_this_computer_alone() -> None:
    for host, more in (("127.0.0.1", []), ("localhost", []), ("0.0.0.0", ["*"])):
        with listen(host, 0) as taken:
            assert set(host_names(host, taken)) == set(more or ["localhost", "127.0.0.1", "[::1]", host])


def test_what_keeps_it_from_opening_is_one_line(kmnist_command: Command) -> None:
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


COMMAND = ["-m", "kmnist"]
TELLING_WHOM_IT_ASKS = ["-c", """
import sys
from kmnist.__main__ import main
asking = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
sys.addaudithook(lambda event, what: event in asking and "127.0.0.1" not in str(what) and print(event, what))
main()
"""]  # fmt: skip


def begin_to_send(address: str, length: int) -> socket.socket:
    """Send three bytes of a picture that is said to be longer."""
    url = urlsplit(address)
    head = f"POST /answer HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: {SENT_AS}\r\nContent-Length: {length}\r\n\r\n"
    connection = socket.create_connection((url.hostname, url.port or 80), timeout=30)
    connection.sendall(f"{head}abc".encode())
    return connection


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
def test_it_asks_nobody_and_whoever_reaches_it_can_only_ask_about_pictures(
    model: Path, classifier: Classifier, store: str
) -> None:
    with running(TELLING_WHOM_IT_ASKS, model, store, signal.SIGTERM) as address:

        def ask(method: str, path: str, **content: Any) -> requests.Response:
            return requests.request(method, address + path, timeout=30, allow_redirects=False, **content)

        def post(content: Any, **headers: str) -> requests.Response:
            return ask("POST", "/answer", data=content, headers={"Content-Type": SENT_AS, **headers})

        page = ask("GET", "/")
        assert page.ok
        assert "default-src 'none'; script-src 'self';" in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        font = TTFont(BytesIO(ask("GET", "/kana.ttf").content))
        assert {ord(label.glyph) for label in CLASSES} <= set(font.getBestCmap())

        drawings = [encoded(drawing_of([(x - 20, y + 3 * x) for x, y in TSU])) for x in range(0, 40, 5)]
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(post, drawings * 4))
        assert [answer.json() for answer in answers] == [answer_to(classifier, drawing) for drawing in drawings] * 4

        for refused in (
            (post(b""), 422, NOT_A_PICTURE),
            (post(b"<script>"), 422, NOT_A_PICTURE),
            (post(BOMB), 422, TOO_MANY_PIXELS),
            (post(encoded(drawing_of(TSU))[:200]), 422, "damaged picture (image file is truncated)"),
            # What a page of another origin can send without being allowed to, and whether it may ask for more:
            (ask("POST", "/answer", files={"picture": BOMB}), 415, f"a picture must be sent as {SENT_AS}"),
            (ask("OPTIONS", "/answer", headers={"Origin": "http://a.test"}), 405, "Method Not Allowed"),
            (ask("GET", "/", headers={"Host": "a.test"}), 400, "Invalid host header"),
            (post(drawings[0], Host="a.test:80"), 400, "Invalid host header"),
            (ask("GET", "/static/"), 404, "Not Found"),
            (ask("GET", "/static/..%2fapp.py"), 404, "Not Found"),
            (ask("GET", "/docs"), 404, "Not Found"),
        ):
            response, status, text = refused
            assert (response.status_code, response.text) == (status, text)
            assert not any(name.lower().startswith("access-control") for name in response.headers)
        assert post(drawings[0], Host="localhost").ok

        with begin_to_send(address, MOST_BYTES + 1) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
        with suppress(requests.ConnectionError):  # it may be cut off before it reads the answer
            assert post(bytes(1_000_000) for _ in range(MOST_BYTES // 1_000_000 + 1)).status_code == 413
        begin_to_send(address, 9).close()
        stays = begin_to_send(address, 9)
        assert post(drawings[0]).ok
    stays.close()  # what was still being sent at the end was no error either


class Visit:
    """A page of the demo in a browser, which notes whom it asks and what it complains of."""

    def __init__(self, context: BrowserContext, address: str, width: int) -> None:
        self.page = context.new_page()
        self.page.set_viewport_size({"width": width, "height": 800})
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if width < 500:  # a phone comes over plain HTTP, from which browsers withhold this
            self.page.add_init_script("delete PointerEvent.prototype.getCoalescedEvents")
        self.page.goto(address)

    def draw(self, points: list[tuple[int, int]]) -> None:
        """Go on with a stroke, from the first point (in 320ths of the sketchpad) to the last."""
        frame = self.page.locator("canvas").bounding_box()
        assert frame is not None
        for x, y in points:
            place = frame["x"] + x * frame["width"] / 320, frame["y"] + y * frame["height"] / 320
            self.page.mouse.move(*place, steps=5)

    def stroke(self, points: list[tuple[int, int]]) -> None:
        self.draw(points[:1])
        self.page.mouse.down()
        self.draw(points[1:])
        self.page.mouse.up()

    def drawing(self) -> bytes:
        """What is on the sketchpad by now."""
        url: str = self.page.evaluate("document.querySelector('canvas').toDataURL()")
        return b64decode(url.partition(",")[2])

    def expect_answer(self, classifier: Classifier, content: bytes) -> dict[str, Any]:
        """Wait until the page shows what the model says about a picture."""
        answer = answer_to(classifier, content)
        candidates = answer["candidates"]
        shown = [f"{of['glyph']}{of['text']}{of['probability']:.1%}".replace("%", " %") for of in candidates]
        expect(self.page.locator("tr")).to_have_text(shown)
        expect(self.page.locator(".kana")).to_have_text(candidates[0]["glyph"])
        expect(self.page.locator(".best b")).to_have_text(candidates[0]["text"])
        expect(self.page.get_by_alt_text("what the network sees")).to_have_attribute("src", answer["seen"])
        return answer


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, pytest.param(360, marks=pytest.mark.long)])
def test_answers_change_while_one_draws_and_everything_can_be_undone(
    width: int, browser: Browser, model: Path, classifier: Classifier, store: str, tmp_path: Path
) -> None:
    with browser.new_context(has_touch=width < 500, is_mobile=width < 500) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        with running(COMMAND, model, store, signal.SIGINT) as address:
            visit = Visit(context, address, width)
            page, hint, photo = visit.page, visit.page.locator(".hint"), visit.page.locator(".paper img")
            undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
            expect(hint).to_have_text(HINT)
            expect(page.locator("header")).to_contain_text(str(model))
            expect(page.locator("li b")).to_have_text([label.glyph for label in CLASSES])
            expect(undo).to_be_disabled()
            expect(clear).to_be_disabled()

            visit.draw(TSU[:1])
            page.mouse.down()
            visit.draw(TSU[1:3])
            first = visit.expect_answer(classifier, visit.drawing())
            visit.draw(TSU[3:])
            assert visit.expect_answer(classifier, visit.drawing()) != first  # the stroke has not ended
            page.mouse.up()
            one = visit.drawing()
            expect(page.locator("[aria-live]")).to_contain_text(answer_to(classifier, one)["candidates"][0]["text"])
            visit.stroke([(60, 40), (80, 300)])
            two = visit.drawing()
            visit.expect_answer(classifier, two)

            undo.click()
            visit.expect_answer(classifier, one)
            assert visit.drawing() == one
            clear.click()
            expect(hint).to_have_text(HINT)
            page.keyboard.press("Control+z")
            visit.expect_answer(classifier, one)

            path = photograph(tmp_path / "photo.jpg")
            page.get_by_label("Picture").set_input_files(path)
            visit.expect_answer(classifier, path.read_bytes())
            expect(photo).to_be_visible()
            visit.stroke([(60, 40), (80, 300)])  # on a new sheet
            visit.expect_answer(classifier, visit.drawing())
            expect(photo).to_be_hidden()
            page.keyboard.press("Control+z")
            visit.expect_answer(classifier, path.read_bytes())

            page.evaluate(COPY, b64encode(two).decode())
            page.keyboard.press("Control+v")
            expect(photo).to_be_visible()
            visit.expect_answer(classifier, two)
            page.dispatch_event("body", "drop", {"dataTransfer": page.evaluate_handle(FILE, "notes.png")})
            expect(hint).to_have_text(f"notes.png: {NOT_A_PICTURE}")
            assert visit.complaints == [REFUSED]
            expect(photo).to_be_hidden()
            page.evaluate("navigator.clipboard.writeText('つ')")
            page.keyboard.press("Control+v")
            expect(hint).to_have_text("That is no picture.")
            (tmp_path / "bomb.png").write_bytes(BOMB)
            page.get_by_label("Picture").set_input_files(tmp_path / "bomb.png")
            expect(hint).to_have_text(f"bomb.png: {TOO_MANY_PIXELS}")
            (tmp_path / "large.png").write_bytes(bytes(MOST_BYTES + 1))
            asked = len(visit.asked)
            page.get_by_label("Picture").set_input_files(tmp_path / "large.png")
            expect(hint).to_have_text("large.png: a picture may have 30 MB at most; shrink it")
            assert not any("answer" in url for url in visit.asked[asked:])

            while undo.is_enabled():
                undo.click()
            expect(hint).to_have_text(HINT)
            if width < 500:
                page.locator("canvas").tap()
                visit.expect_answer(classifier, visit.drawing())
                expect(page.get_by_text("Camera")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert set(visit.complaints) == {REFUSED}  # Chromium's own words about what the server refused
            assert {urlsplit(url).hostname for url in visit.asked if not url.startswith(("data:", "blob:"))} == {
                "127.0.0.1"
            }
        visit.stroke(TSU)
        expect(hint).to_have_text("No answer. Is kmnist demo still running?")
