"""The team's service on a real container engine: the image is built, and a model walks through the stack."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.compose import ROOT
from tests.test_tune import wait_until

PROJECT = "kmnist-test"
SETTINGS = {
    "POSTGRES_PASSWORD": "of the database",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "the password of the admin",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "the key of the forms",
    "MLFLOW_PORT": "5055",
    "KMNIST_COMMIT": "c0ffee",
}


def has_engine() -> bool:
    """Whether an engine answers, and knows Compose."""
    if shutil.which("docker") is None:
        return False
    asked = (["docker", "info"], ["docker", "compose", "version"])
    return all(subprocess.run(command, capture_output=True, timeout=30).returncode == 0 for command in asked)


def compose(*arguments: str) -> str:
    """Run Compose on the file; gives what it wrote."""
    done = subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, "--profile", "*", *arguments],
        cwd=ROOT,
        env={**os.environ, **SETTINGS},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def service() -> Iterator[None]:
    """PostgreSQL and MLflow, healthy, in containers of an image that was built now."""
    if not has_engine():
        pytest.skip("needs a container engine: docker with Compose 2, and for the build PIP_EXTRA_INDEX_URL")
    assert not (ROOT / ".env").exists(), "this would mix with the service that is set up here: test in another clone"
    compose("build", "mlflow")
    try:
        compose("up", "--detach", "--wait", "mlflow")
        yield
    finally:
        compose("down", "--volumes")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_model_walks_through_the_service(service: None) -> None:
    compose("up", "--detach", "serve")
    wait_until(lambda: "waiting for it" in compose("logs", "serve"))
    said = compose("run", "--rm", "trainer", "--dataset", "sample", "--epochs", "2", "--hidden", "16")
    [run] = {line.split()[1] for line in said.splitlines() if line.startswith("run ")}
    login = ("admin", SETTINGS["MLFLOW_AUTH_ADMIN_PASSWORD"])
    url = f"http://127.0.0.1:{SETTINGS['MLFLOW_PORT']}/api/2.0/mlflow/runs/get"
    tags = requests.get(url, params={"run_id": run}, auth=login, timeout=20).json()["run"]["data"]["tags"]
    assert {"key": "git.commit", "value": SETTINGS["KMNIST_COMMIT"]} in tags
    registered = compose("run", "--rm", "kmnist", "register", run)
    name = registered.split("version 1 of ")[1].split(":")[0]
    compose("run", "--rm", "kmnist", "promote", "1", "--name", name, "--alias", "champion", "--force")
    assert "backup" in compose("run", "--rm", "backup")
    for log in (compose("logs", "mlflow"), compose("logs", "serve")):
        assert "Traceback" not in log
        assert " 401" not in log
        assert "Bad git executable" not in log
    assert json.loads(compose("ps", "--format", "json", "mlflow").splitlines()[0])["Health"] == "healthy"
    assert "not started: name the study" in compose("run", "--rm", "worker")
