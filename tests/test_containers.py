"""The team's service on a real container engine: the image is built, and a model walks through the stack."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.compose import ROOT
from tests.servers import free_port
from tests.test_tune import wait_until

PROJECT = "kmnist-test"
SETTINGS = {
    "POSTGRES_PASSWORD": "of the database",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "the password of the admin",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "the key of the forms",
    "MLFLOW_PORT": str(free_port()),
    "KMNIST_COMMIT": "c0ffee",
    **({"DATA_DIR": os.environ["KMNIST_DATA_DIR"]} if "KMNIST_DATA_DIR" in os.environ else {}),
}
LOGIN = ("admin", SETTINGS["MLFLOW_AUTH_ADMIN_PASSWORD"])
URL = f"http://127.0.0.1:{SETTINGS['MLFLOW_PORT']}/api/2.0/mlflow"
SHORT = ["--hidden", "16", "--epochs", "1", "--precision", "fp32", "--batch-size", "512"]

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def has_engine() -> bool:
    """Whether an engine answers, and knows Compose."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "info"], ["docker", "compose", "version"])
    return all(subprocess.run(command, capture_output=True, timeout=30).returncode == 0 for command in asked)


def docker(*arguments: str, status: int = 0, **settings: str) -> str:
    """Run a command of the engine; gives what it wrote."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2400,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def compose(*arguments: str, status: int = 0, **settings: str) -> str:
    """Run Compose on the file; gives what it wrote."""
    return docker("compose", "--project-name", PROJECT, "--profile", "*", *arguments, status=status, **settings)


def container(service: str) -> dict[str, str | int]:
    """State, health and number of restarts of a service's container."""
    form = '{"state": "{{.State.Status}}", "status": {{.State.ExitCode}}, "restarts": {{.RestartCount}}}'
    found: dict[str, str | int] = json.loads(docker("inspect", "--format", form, f"{PROJECT}-{service}-1"))
    return found


def train(*arguments: str) -> str:
    """Train in a container; gives the id of the run."""
    said = compose("run", "--rm", "trainer", *SHORT, *arguments)
    [run] = {line.split()[1] for line in said.splitlines() if line.startswith("run ")}
    return run


@pytest.fixture(scope="module")
def service() -> Iterator[None]:
    """PostgreSQL and MLflow, healthy, in containers of an image that was built now."""
    if not has_engine():
        pytest.skip("needs a container engine: docker with Compose 2, and for the build PIP_EXTRA_INDEX_URL")
    assert not (ROOT / ".env").exists(), "this would mix with the service that is set up here: test in another clone"
    began = time.monotonic()
    compose("build", "mlflow")
    built = time.monotonic()
    try:
        compose("up", "--detach", "--wait", "mlflow")
        print(f"built in {built - began:.0f} s, healthy in {time.monotonic() - built:.0f} s")
        yield
    finally:
        compose("down", "--volumes")


def test_the_image_is_the_cpus(service: None) -> None:
    found = json.loads(docker("image", "inspect", "kmnist:0.1.0"))[0]
    print(f"image: {found['Size'] / 1e9:.2f} GB")
    assert found["Size"] < 3e9
    assert {"MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet"} <= set(found["Config"]["Env"])
    ask = "import torch; print('built for', torch.version.cuda)"
    assert "built for None" in compose("run", "--rm", "--no-deps", "--entrypoint", "python", "kmnist", "-c", ask)


def test_a_container_counts_the_cores_that_it_may_use(service: None) -> None:
    count = "from kmnist.cores import available_cores; print(available_cores())"
    assert docker("run", "--rm", "--cpus", "1", "--entrypoint", "python", "kmnist:0.1.0", "-c", count) == "1\n"


def test_a_model_walks_through_the_service(service: None) -> None:
    compose("up", "--detach", "serve")
    wait_until(lambda: "waiting for it" in compose("logs", "serve"))
    runs = [train("--seed", seed) for seed in ("0", "1")]
    tags = requests.get(f"{URL}/runs/get", params={"run_id": runs[0]}, auth=LOGIN, timeout=20).json()["run"]["data"]
    assert {"key": "git.commit", "value": SETTINGS["KMNIST_COMMIT"]} in tags["tags"]
    for version, run in enumerate(runs, start=1):
        registered = compose("run", "--rm", "kmnist", "register", run)
        name = registered.split(f"version {version} of ")[1].split(":")[0]
        compose("run", "--rm", "kmnist", "promote", f"{version}", "--name", name, "--force")
        if name == "kmnist":  # the drawn sample, where Kuzushiji-MNIST cannot be had, is no team's champion
            if version > 1:
                wait_until(lambda: "serves version 2 from now on" in compose("logs", "serve"))
            wait_until(lambda: asked("serve", "http://serve:8000/ping") == "200", seconds=300)
            pixels = {"inputs": [[[0] * 28] * 28]}
            answer = requests.post("http://127.0.0.1:8000/invocations", json=pixels, timeout=60)
            assert "kana" in answer.json()["predictions"][0]
    assert container("serve") == {"state": "running", "status": 0, "restarts": 0}
    log = compose("logs", "serve")
    said = [line for line in log.splitlines() if line.endswith("waiting for it")]
    assert len(said) == len(set(said)) <= 2  # no model of the name, then no alias
    assert "Traceback" not in log


def asked(service: str, address: str) -> str:
    """The status that a service answers with, asked from its own container."""
    form = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "5", address]
    done = subprocess.run(["docker", "exec", f"{PROJECT}-{service}-1", "curl", *form], capture_output=True, text=True)
    return done.stdout


def test_a_worker_without_a_study_says_so_once(service: None) -> None:
    assert "not started: name the study" in compose("up", "worker")
    assert container("worker") == {"state": "exited", "status": 0, "restarts": 0}


def test_workers_share_a_study(service: None) -> None:
    options = "--dataset sample --hidden 16 --epochs 2 --trials 4 --pruner none --sampler random --confirm-seeds 0"
    options += " --threads 1"
    compose("up", "--scale", "worker=2", "worker", KMNIST_STUDY="team", KMNIST_STUDY_OPTIONS=options)
    said = compose("logs", "worker")
    assert "4 complete" in said
    assert "Traceback" not in said
    assert "team" in compose("run", "--rm", "kmnist", "studies")
    compose("up", "--detach", "--wait", "dashboard")
    shown = requests.get("http://127.0.0.1:8080/api/studies", timeout=20).json()["study_summaries"]
    assert [study["study_name"] for study in shown] == ["team"]


def test_the_log_shows_a_failed_login_and_little_else(service: None) -> None:
    assert requests.get(f"{URL}/users/current", auth=("admin", "guessed"), timeout=20).status_code == 401
    time.sleep(60)  # several looks at its health
    log = compose("logs", "mlflow").splitlines()
    assert sum(" 401" in line for line in log) == 1
    assert [line for line in log if any(word in line for word in ("Traceback", "Bad git", "telemetry"))] == []
    assert json.loads(compose("ps", "--format", "json", "mlflow").splitlines()[0])["Health"] == "healthy"
    assert json.loads(
        docker("inspect", "--format", "{{json .HostConfig.LogConfig.Config}}", f"{PROJECT}-mlflow-1")
    ) == {"max-size": "10m", "max-file": "5"}


def test_a_backup_is_brought_back_and_a_folder_of_roots_is_refused(service: None, tmp_path: Path) -> None:
    """The last: to bring it back closes connections, of which the server's log may tell."""
    said = compose("run", "--rm", "backup")
    name = said.split("docker compose run --rm restore ")[1].split()[0]
    assert f"restored {name}" in compose("run", "--rm", "restore", name)
    said = compose("run", "--rm", "backup", status=1, BACKUP_DIR=str(tmp_path / "made by docker"))
    assert "no backup: 10001 must own the folder of backups" in said
