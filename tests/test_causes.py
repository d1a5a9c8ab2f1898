"""What is advised fits the cause: for each cause, the real thing, or what it said when it was met."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kmnist.errors import TrackingError
from kmnist.tracking import connect
from kmnist.tracking.causes import AWAY, way_out_of
from tests.postgres import Postgres
from tests.servers import free_port

Answer = tuple[int, str, dict[str, str]]
PAGE = "<!doctype html><title>Log in</title>"
JSON = {"Content-Type": "application/json"}


@contextmanager
def answering(answer: Answer, certificate: Path | None = None, version: Answer = (404, "", {})) -> Iterator[str]:
    """A server that says one thing, and another where it is asked for its version; gives its host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text, headers = version if self.path.endswith("/version") else answer
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def told(uri: str) -> str:
    with pytest.raises(TrackingError) as refused:
        connect(uri)
    text = str(refused.value)
    assert uri in text
    assert ("start the server" in text.lower()) is (AWAY[1:] in text)
    return text


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ((401, "You are not authenticated.", {}), "MLFLOW_TRACKING_USERNAME"),
        ((403, "Invalid Host header - possible DNS rebinding attack detected", {}), "--allowed-hosts"),
        ((403, '{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}', JSON), "for the permission"),
        ((400, "The plain HTTP request was sent to HTTPS port", {}), "write https:// instead"),
        ((404, "Not Found", {}), "No MLflow answers at this address"),
        ((200, PAGE, {"Content-Type": "text/html"}), "No MLflow answers at this address"),
        ((413, "Request Entity Too Large", {}), "limits the size of a request"),
        ((429, "Too Many Requests", {}), "left alone for a while"),
        ((502, "<html>Bad Gateway</html>", {}), "A proxy answers"),
        ((500, "Internal Server Error", {}), "own log says why"),
    ],
)
def test_what_a_server_answers(answer: Answer, advice: str, store: str) -> None:
    with answering(answer) as place:
        assert advice in told(f"http://{place}")


def test_a_redirect_is_told_with_where_it_leads(store: str) -> None:
    """Followed, a POST would arrive as a GET, and a page to log in at would be taken for an answer."""
    with answering((200, "{}", JSON), version=(301, "", {"Location": "https://me:secret@mlflow.org/"})) as place:
        text = told(f"http://{place}")
    assert "sends requests on to https://me:***@mlflow.org/" in text


@pytest.mark.parametrize("version", ["2.22.0", "1.30.1", "2.9.0.dev0"])
def test_a_server_that_is_too_old_is_told_at_once(version: str, store: str) -> None:
    """As MLflow 2.22 answers."""
    html = {"Content-Type": "text/html; charset=utf-8"}
    with answering((200, "{}", JSON), version=(200, version, html)) as place:
        assert f"runs MLflow {version}, which has no logged models" in told(f"http://{place}")


@pytest.mark.parametrize("version", [(200, PAGE, {}), (200, "3.0.0rc1", {}), (200, "4.1", {}), (403, "", {})])
def test_what_says_no_version_that_is_too_old_is_let_through(version: Answer, store: str) -> None:
    with answering((200, "{}", JSON), version=version) as place:
        connect(f"http://{place}")


def test_certificates_and_encryption(store: str, tmp_path: Path) -> None:
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run([*new, *files], check=True, capture_output=True)
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "certificate.pem").read_text())
    with answering((200, "{}", JSON), certificate=both) as place:
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in told(f"https://{place}")
    with answering((200, "{}", JSON)) as place:
        assert "write http:// instead of https://" in told(f"https://{place}")


def test_addresses_that_lead_nowhere(store: str) -> None:
    assert AWAY[1:] in told(f"http://127.0.0.1:{free_port()}")
    assert "there is no host of that name" in told("http://no-such-host.invalid:5000").lower()
    assert "an address must be http://" in told("nonsense://x").lower()
    assert "pip install" in told("mysql+pymysql://me@127.0.0.1/mlflow")
    Path("text.db").write_text("no database " * 100)
    assert "damaged, or is none of sqlite's" in told("sqlite:///text.db")
    assert "folder cannot be made there" in told("sqlite:////proc/folder/mlflow.db")


@pytest.mark.slow
def test_databases_of_a_server_that_refuse(postgres: Postgres, store: str) -> None:
    place = f"127.0.0.1:{postgres.port}"
    assert "createdb NAME" in told(f"postgresql+psycopg://kmnist@{place}/nothing")
    assert "user's name and password" in told(f"postgresql+psycopg://nobody@{place}/postgres")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("(sqlite3.OperationalError) database is locked", "another program writes to it"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "cannot be written by this user"),
        ("(sqlite3.OperationalError) unable to open database file", "cannot be written by this user"),
        ("cannot execute INSERT in a read-only transaction", "cannot be written by this user"),
        ("[Errno 13] Permission denied: '/srv/mlflow.db'", "cannot be written by this user"),
        ("(sqlite3.OperationalError) database or disk is full", "make room"),
        ("FATAL: sorry, too many clients already", "no connection to spare"),
        ("FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute", "to spare"),
        ('FATAL: password authentication failed for user "me"', "name and password"),
        ("(1049, \"Unknown database 'mlflow'\")", "createdb"),
        ("[Errno 101] Network is unreachable", None),
        ("HTTPConnectionPool(host='127.0.0.1', port=5000): Read timed out.", None),
    ],
)
def test_what_was_said_where_it_was_met(said: str, advice: str | None) -> None:
    found = way_out_of(said)
    assert (found is None) if advice is None else (advice in (found or ""))
