"""The proxy does to a request what a fault says, and the comparison sees what is missing, doubled or different."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from mlflow_journal.testing import Fault, FaultProxy, Kind, RunSnapshot, compare

SERVED: Counter[str] = Counter()


class _Upstream(BaseHTTPRequestHandler):
    """Answers with what it was sent, and counts."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # half a request, as the real server sees it: nothing is done
            return
        SERVED[self.path] += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    SERVED.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as upstream:
        thread = threading.Thread(target=upstream.serve_forever, args=(0.01,))
        thread.start()
        with FaultProxy(f"http://127.0.0.1:{upstream.server_address[1]}") as made:
            yield made
        upstream.shutdown()
        thread.join()


def _post(proxy: FaultProxy, path: str = "/a") -> requests.Response:
    return requests.post(proxy.url + path, data=b"x" * 5000, timeout=10)


@pytest.mark.parametrize(
    ("kind", "served"),
    [("drop request", 0), ("cut request", 0), ("drop answer", 1), ("cut answer", 1)],
)
def test_a_connection_is_closed_before_or_after_the_server_has_done_it(
    proxy: FaultProxy, kind: Kind, served: int
) -> None:
    proxy.inject(fault := Fault("POST /a", kind))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        _post(proxy)
    assert SERVED["/a"] == served
    assert proxy.failed[fault] == 1
    proxy.heal()
    assert _post(proxy).content == b"x" * 5000


def test_somebody_else_answers(proxy: FaultProxy) -> None:
    proxy.inject(Fault("/busy", 429, seconds=7), Fault("/login", "login page"), Fault("/moved", "redirect"))
    busy = _post(proxy, "/busy")
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    for path in ("/login", "/moved"):
        page = _post(proxy, path)
        assert page.status_code == 200
        assert "<form" in page.text
    assert not SERVED


def test_it_happens_to_the_requests_that_were_chosen(proxy: FaultProxy) -> None:
    proxy.inject(Fault("/a", 503, first=2, last=6, every=2))
    assert [_post(proxy).status_code for _ in range(8)] == [200, 503, 200, 503, 200, 503, 200, 200]
    assert _post(proxy, "/b").status_code == 200
    assert proxy.requests == {"POST /a": 8, "POST /b": 1}


def test_a_body_in_chunks_and_a_server_that_is_away(proxy: FaultProxy) -> None:
    sent = requests.post(proxy.url, data=iter([b"one", b"two"]), timeout=10)
    assert sent.content == b"onetwo"
    with FaultProxy("http://127.0.0.1:9") as before_nobody:
        assert _post(before_nobody).status_code == 502


def test_connections_are_kept(proxy: FaultProxy) -> None:
    host = proxy.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    for _ in range(3):
        connection.request("POST", "/a", b"x")
        assert connection.getresponse().read() == b"x"
    connection.close()


RUN = RunSnapshot("FINISHED", None, {"a": "1"}, {"t": "x"}, {"loss": [(0, 1.0), (1, 0.5)]}, [], {"f": "d"}, [], 0)


def test_the_comparison_sees_every_difference() -> None:
    assert not compare([RUN], [RUN])
    for changed, name in (
        (replace(RUN, status="RUNNING"), "statuses"),
        (replace(RUN, params={}), "changed"),
        (replace(RUN, tags={"t": "y"}), "changed"),
        (replace(RUN, points={"loss": [(0, 1.0)]}), "lost"),
        (replace(RUN, points={"loss": [(0, 1.0), (0, 1.0), (1, 0.5)]}), "doubled"),
        (replace(RUN, points={"loss": [(0, 1.0), (1, 0.6)]}), "changed"),
        (replace(RUN, files={"f": "e"}), "files"),
        (replace(RUN, inputs=["data"]), "changed"),
    ):
        findings = compare([changed], [RUN])
        assert getattr(findings, name) == 1, (name, str(findings))
    assert compare([RUN, RUN], [RUN]).orphans == 1
    assert compare([], [RUN]).lost == 2


def test_the_comparison_leaves_out_what_varies() -> None:
    other = replace(RUN, points={"loss": [(0, 9.0), (1, 9.0)]}, files={"f": "e"})
    assert not compare([other], [RUN], varying="^loss$|^f$")
    assert compare([replace(other, files={})], [RUN], varying="^loss$|^f$").files == 1
    longer = replace(RUN, points={"loss": [(0, 1.0), (1, 1.0), (2, 1.0)]})
    assert not compare([longer], [RUN], uncounted="loss")
    assert compare([replace(RUN, points={"loss": [(0, 1.0), (2, 1.0)]})], [RUN], uncounted="loss").lost == 1
