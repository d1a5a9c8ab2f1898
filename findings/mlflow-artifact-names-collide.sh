#!/usr/bin/env bash
# MLflow: files whose names differ only after a "?" or "#" overwrite each other on an artifact server, with no error.
#
# Versions: mlflow-skinny 3.17.2 (client and server), requests 2.34.2, Flask 3.1.3, gunicorn 27.0.1, SQLAlchemy 2.1.9,
# Python 3.11, Linux, where these characters are valid in a file's name.
#
# Plausible guess: the client percent-encodes the name when it makes the address, so that the file comes back under its
# own name; or it refuses the name.
#
# It does neither. The name becomes part of the address as it is, and there "?" begins the query and "#" the fragment.
# The server sees the beginning only, and stores the file under that. The next file with the same beginning replaces it,
# and both uploads return as if all were well. Folders are cut, too: log_artifacts of q?1/x.txt and q?2/x.txt leaves one
# file called "q". A download is cut in the same way. So a download of the first file by its full name succeeds, and
# gives the content of the second: a check that only downloads what it uploaded last finds nothing wrong.
# "%" is decoded: 50%20off.txt is listed as "50 off.txt", and replaces a file that really has that name.
# With an artifact folder that the client reaches directly, all files of this example keep their names.
# Way round: compare the listing with what was uploaded, or give artifacts other names.
#
# Output seen (each file holds its own name):
#   uploaded ['plot?a.txt', 'plot?b.txt']
#     server lists ['plot']; a download of plot?a.txt holds 'plot?b.txt'
#     folder lists ['plot?a.txt', 'plot?b.txt']
#   uploaded ['loss#1.txt', 'loss#2.txt']
#     server lists ['loss']; a download of loss#1.txt holds 'loss#2.txt'
#     folder lists ['loss#1.txt', 'loss#2.txt']
#   uploaded ['50 off.txt', '50%20off.txt']
#     server lists ['50 off.txt']; a download of 50 off.txt holds '50%20off.txt'
#     folder lists ['50 off.txt', '50%20off.txt']
#   uploaded ['q?1/x.txt', 'q?2/x.txt']
#     server lists ['q']; a download of q?1/x.txt holds 'q?2/x.txt'
#     folder lists ['q?1/x.txt', 'q?2/x.txt']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow-skinny==3.17.2 requests==2.34.2 flask==3.1.3 flask-cors==6.0.5 \
    gunicorn==27.0.1 sqlalchemy==2.1.9 alembic==1.20.1
cd "$folder"
cat >check.py <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from mlflow import MlflowClient

PAIRS = {
    ("plot?a.txt", "plot?b.txt"): ["plot"],
    ("loss#1.txt", "loss#2.txt"): ["loss"],
    ("50 off.txt", "50%20off.txt"): ["50 off.txt"],
    ("q?1/x.txt", "q?2/x.txt"): ["q"],
}
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
address = f"http://127.0.0.1:{port}"
command = [str(Path(sys.executable).with_name("mlflow")), "server", "--backend-store-uri", "sqlite:///server.db"]
command += ["--artifacts-destination", "stored", "--port", str(port), "--workers", "1", "--gunicorn-opts", "-t 60"]
log = open("server.log", "w")
server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
try:
    for _ in range(600):
        assert server.poll() is None, Path("server.log").read_text()
        try:
            urlopen(f"{address}/health", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    over_http, direct = MlflowClient(address), MlflowClient("sqlite:///direct.db")
    for number, (names, expected) in enumerate(PAIRS.items()):
        stored, local = (one.create_run("0").info.run_id for one in (over_http, direct))
        for name in names:
            source = Path(f"source{number}", name)
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_text(name)
            if "/" not in name:
                over_http.log_artifact(stored, str(source))
                direct.log_artifact(local, str(source))
        if "/" in name:
            over_http.log_artifacts(stored, f"source{number}")
            direct.log_artifacts(local, f"source{number}")
        listed = [found.path for found in over_http.list_artifacts(stored)]
        content = Path(over_http.download_artifacts(stored, names[0])).read_text()
        place = Path(direct.get_run(local).info.artifact_uri)
        kept = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
        print(f"uploaded {list(names)}")
        print(f"  server lists {listed}; a download of {names[0]} holds {content!r}")
        print(f"  folder lists {kept}")
        assert listed == expected
        assert content in names
        if number < 3:  # the order in which a folder's files go is not fixed
            assert content == names[1]
        assert kept == sorted(names)
finally:
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()
PYTHON
export TMPDIR="$folder" MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
MLFLOW_DISABLE_TELEMETRY=true MLFLOW_LOGGING_LEVEL=WARNING "$folder/venv/bin/python" check.py
