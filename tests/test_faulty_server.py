"""The proxy of the other tests does what it says."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.faulty_server import Fault, FaultyServer, Kind


class Echo(BaseHTTPRequestHandler):
    """Answers with what came, and remembers it."""

    protocol_version = "HTTP/1.1"
    came: list[bytes]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.came.append(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyServer]:
    Echo.came = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with FaultyServer(f"http://127.0.0.1:{server.server_address[1]}") as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def healed(proxy: FaultyServer) -> None:
    proxy.heal()
    Echo.came.clear()


@pytest.mark.parametrize(
    ("kind", "came"),
    [("drop request", []), ("cut request", [b"ab"]), ("drop answer", [b"abcd"]), ("cut answer", [b"abcd"])],
)
def test_a_connection_is_closed_and_the_server_has_seen_what_it_should(
    proxy: FaultyServer, kind: Kind, came: list[bytes]
) -> None:
    proxy.inject(Fault("PUT /a", kind, last=1))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        requests.put(f"{proxy.url}/a", b"abcd", timeout=10)
    until = time.monotonic() + 10
    while Echo.came != came and time.monotonic() < until:
        time.sleep(0.01)  # the server may be behind: it has read, not yet noted
    assert Echo.came == came
    assert requests.put(f"{proxy.url}/a", b"abcd", timeout=10).content == b"abcd"
    assert proxy.requests == {"PUT /a": 2}


def test_an_answer_in_the_servers_place(proxy: FaultyServer) -> None:
    proxy.inject(Fault(r"PUT .*\?x=1", 429, first=2, last=3, seconds=7))
    answers = [requests.put(f"{proxy.url}/a?x=1", b"", timeout=10) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert len(Echo.came) == 2
    assert sum(proxy.failed.values()) == 2


def test_a_delayed_request_arrives(proxy: FaultyServer) -> None:
    proxy.inject(Fault("/slow", "delay", seconds=1))
    began = time.monotonic()
    assert requests.put(f"{proxy.url}/slow", b"x", timeout=10).content == b"x"
    assert time.monotonic() - began >= 1
    assert requests.put(f"{proxy.url}/quick", b"x", timeout=10).elapsed.total_seconds() < 1


def test_a_session_that_has_ended_leads_to_a_page(proxy: FaultyServer) -> None:
    proxy.inject(Fault("PUT /a", "login"))
    answer = requests.put(f"{proxy.url}/a", b"abcd", timeout=10)
    assert (answer.status_code, answer.request.method) == (200, "GET")
    assert "Sign in" in answer.text
    assert Echo.came == []
