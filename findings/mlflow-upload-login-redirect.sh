#!/usr/bin/env bash
# MLflow: log_artifact succeeds, and the file is nowhere, when a proxy redirects the upload to its login page.
#
# Versions: mlflow-skinny 3.17.2, requests 2.34.2, SQLAlchemy 2.1.9, Python 3.11, Linux.
#
# Many proxies answer a request of an expired session with "302 Found" and the address of a login page. The page itself
# has status 200.
#
# Plausible guess: an upload that reached no store raises, as it does when the proxy answers 401.
#
# It returns as if all were well. requests follows the 302 and turns the PUT into a GET without a body, which is usual
# for that status. MLflow then looks at the status of the last answer alone: 200, that of the login page. It does not
# notice that the address changed, that the answer is HTML, or that no server took the file. log_artifacts loses a whole
# folder in the same way. Way round: list the artifacts afterwards. The page is no JSON, so that call raises, and after
# a new login the file is not in the list.
#
# The server below stands for both, the artifact server and the proxy before it. It keeps what is PUT, unless the
# session has expired.
#
# Output seen:
#   session open: returned; requests ['PUT /store/file.txt']; kept ['/store/file.txt']
#   session expired, proxy answers 401: raised HTTPError; requests ['PUT /store/file.txt']; kept []
#   session expired, proxy redirects: returned; requests ['PUT /store/file.txt', 'GET /login']; kept []
#   session expired, proxy redirects, a folder: returned; requests ['PUT /store/file.txt', 'GET /login']; kept []
#   session expired, proxy redirects, list: raised JSONDecodeError; requests ['GET ', 'GET /login']; kept []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 requests==2.34.2 sqlalchemy==2.1.9 alembic==1.20.1
cd "$folder"
cat >check.py <<'PYTHON'
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mlflow import MlflowClient

session = "open"
requests: list[str] = []
kept: dict[str, bytes] = {}


class Proxy(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        requests.append(f"PUT {short(self.path)}")
        if session == "open":
            kept[short(self.path)] = body
            self.answer(200, "application/json", b"{}")
        elif session == "expired, proxy answers 401":
            self.answer(401, "text/plain", b"log in first")
        else:
            self.answer(302, "text/html", b"", Location="/login")

    def do_GET(self) -> None:
        requests.append(f"GET {short(self.path)}")
        if self.path == "/login":
            self.answer(200, "text/html", b"<html><form>Name, password</form></html>")
        else:
            self.answer(302, "text/html", b"", Location="/login")

    def answer(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, text in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def short(path: str) -> str:
    """Without what is the same everywhere, and the run's id."""
    return re.sub(r"^/api/2.0/mlflow-artifacts/artifacts|/[0-9a-f]{32}/artifacts|[?].*", "", path)


server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = MlflowClient("sqlite:///mlflow.db")
address = f"http://127.0.0.1:{server.server_port}/api/2.0/mlflow-artifacts/artifacts"
experiment = client.create_experiment("example", f"{address}/store")
run = client.create_run(experiment).info.run_id
Path("file.txt").write_text("the only copy")

Path("folder").mkdir()
Path("folder/file.txt").write_text("the only copy")


def attempt(what: str, call: Callable[[], object]) -> tuple[str, list[str], list[str]]:
    requests.clear()
    kept.clear()
    try:
        call()
        outcome = "returned"
    except Exception as error:
        outcome = f"raised {type(error).__name__}"
    print(f"session {what}: {outcome}; requests {requests}; kept {list(kept)}")
    return outcome, list(requests), list(kept)


UPLOAD = "PUT /store/file.txt"
for session, expected in {
    "open": ("returned", [UPLOAD], ["/store/file.txt"]),
    "expired, proxy answers 401": ("raised HTTPError", [UPLOAD], []),
    "expired, proxy redirects": ("returned", [UPLOAD, "GET /login"], []),
}.items():
    assert attempt(session, lambda: client.log_artifact(run, "file.txt")) == expected
whole = attempt(f"{session}, a folder", lambda: client.log_artifacts(run, "folder"))
assert whole == ("returned", [UPLOAD, "GET /login"], [])
listing = attempt(f"{session}, list", lambda: client.list_artifacts(run))
assert listing == ("raised JSONDecodeError", ["GET ", "GET /login"], [])
PYTHON
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=WARNING "$folder/venv/bin/python" check.py
