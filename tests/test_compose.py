"""The team's service: what docker-compose.yml and the Dockerfile say, and what its services do as processes."""

import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist.data import Dataset
from kmnist.inference.classifier import FIELDS
from kmnist.registry import promote
from tests.compose import FILE, ROOT, MissingVariableError, interpolate, read_services
from tests.postgres import can_run
from tests.stack import Stack
from tests.test_tune import wait_until

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
ADMIN = ("admin", "the password of the admin")
SECRETS = {
    "POSTGRES_PASSWORD": "the password of the database: p@ss/word%",
    "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "the key of the forms",
}
PROXY = {
    "ALLOWED_HOSTS": "mlflow.example.org,localhost:*,127.0.0.1:*",
    "ALLOWED_ORIGINS": "https://mlflow.example.org",
}
STUDY = {
    "KMNIST_STUDY": "team",
    "KMNIST_STUDY_OPTIONS": "--dataset sample --hidden 16 --epochs 2 --precision fp32 --sampler random --pruner none "
    "--trials 2 --confirm-seeds 0 --quiet",
}


def test_variables_are_filled_in_as_compose_does() -> None:
    variables = {"A": "a", "EMPTY": ""}
    for text, filled in [
        ("plain", "plain"),
        ("$$A ${A}-${A:-b}", "$A a-a"),
        ("${NONE}|${NONE:-b:c}|${EMPTY:-${A}}", "|b:c|a"),
        ("${A:?never said}${NONE:-${EMPTY:-}}.", "a."),
    ]:
        assert interpolate(text, variables) == filled
    with pytest.raises(MissingVariableError, match="EMPTY is missing a value: set it"):
        interpolate("${NONE:-${EMPTY:?set it}}", variables)


def complaints(program: str, *arguments: str | Path) -> str:
    """What a program that was installed with the tests has to say, if it is not content."""
    command = [Path(sys.executable).parent / program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("file", [FILE, FILE.with_name("docker-compose.gpu.yml")])
def test_the_file_is_as_the_compose_specification_says(file: Path) -> None:
    assert complaints("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file) == ""


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    assert complaints("hadolint", ROOT / "Dockerfile") == ""


@pytest.mark.parametrize("name", SECRETS)
def test_nothing_starts_without_its_secrets(name: str) -> None:
    for value in ({}, {name: ""}):
        with pytest.raises(
            MissingVariableError, match=rf"{name} is missing a value: cp .env.example .env and fill it in"
        ):
            read_services({secret: text for secret, text in SECRETS.items() if secret != name} | value)


def test_every_variable_is_explained_in_the_example_and_no_other() -> None:
    shown = re.findall(r"^#?([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    filled_in = re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", FILE.read_text())
    passed_on = re.findall(r"^ +([A-Z0-9_]+):$", FILE.read_text(), re.MULTILINE)
    assert {name for name, _ in shown} == {*filled_in, *passed_on, "COMPOSE_FILE"}  # which Compose itself reads
    assert {name for name, value in shown if value == ""} >= set(SECRETS)


def test_no_secret_is_in_a_file() -> None:
    for service in read_services(SECRETS).values():
        for name, value in service.environment.items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert value in SECRETS.values(), f"{service.name}: {name}"
        for word in [*service.command, *(service.health or [])]:
            assert not any(secret in word for secret in SECRETS.values())
    assert not re.search("password *=", (ROOT / "service" / "auth.ini").read_text())
    assert "/.env\n" in (ROOT / ".gitignore").read_text()
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


def test_only_this_machine_reaches_what_is_published() -> None:
    services = read_services(SECRETS)
    published = {name: service.ports for name, service in services.items() if service.ports}
    assert published == {
        "mlflow": ["127.0.0.1:5000:5000"],
        "dashboard": ["127.0.0.1:8080:8080"],
        "serve": ["127.0.0.1:8000:8000"],
    }
    assert {name for name, service in services.items() if not service.profiles} == {"postgres", "mlflow"}


def test_every_image_has_an_exact_version() -> None:
    images = {service.settings["image"] for service in read_services(SECRETS).values()}
    [database] = images - {f"kmnist:{PROJECT['version']}"}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", database)
    [base] = re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
    assert f"postgresql-client-{database.split(':')[1].split('.')[0]}" in DOCKERFILE  # an older one cannot read a newer


def test_no_container_has_more_rights_than_it_needs() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "10001"
    for service in read_services(SECRETS).values():
        assert service.settings.get("user", "10001") not in ("root", "0"), service.name
        assert service.settings["read_only"]
        assert service.settings["cap_drop"] == ["ALL"]
        assert service.settings["security_opt"] == ["no-new-privileges:true"]
        assert not service.settings.get("privileged")


def test_what_runs_for_long_is_looked_after() -> None:
    services = read_services(SECRETS).values()
    lasting = {service.name for service in services if service.settings.get("restart") == "unless-stopped"}
    assert lasting == {service.name for service in services if service.health}
    assert lasting == {"postgres", "mlflow", "dashboard", "serve"}
    for service in services:
        for condition in service.settings.get("depends_on", {}).values():
            assert condition == {"condition": "service_healthy"}


def test_the_image_is_built_from_what_is_there() -> None:
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = {source for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()}
    assert copied == allowed
    assert all((ROOT / path).exists() for path in copied)
    [extras] = re.findall(r"'\.\[([a-z,]+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    folders = set(re.findall(r"/srv/\w+", DOCKERFILE))
    mounted = {volume.split(":")[1] for service in read_services(SECRETS).values() for volume in service.volumes}
    assert folders == {path for path in mounted if path.startswith("/srv/")}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The service, with PostgreSQL and MLflow up."""
    if not can_run():
        pytest.skip("needs PostgreSQL (Debian: apt install postgresql), and as root the user postgres to run it")
    started = Stack(tmp_path_factory.mktemp("stack"), {**SECRETS, **PROXY, **STUDY, "MLFLOW_WORKERS": "1"})
    try:
        started.wait_until_healthy("postgres")
        started.start("mlflow")
        started.wait_until_healthy("mlflow")
        yield started
    finally:
        started.close()


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[MlflowClient]:
    """The admin's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
        patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
        yield MlflowClient(stack.url("mlflow"))


@pytest.fixture(scope="module")
def trained(stack: Stack) -> Stack:
    """The service after a training that was stopped, and resumed."""
    stack.start("trainer", "--dataset", "sample", "--epochs", "40", "--hidden", "32", "--quiet")
    runs = stack.folder / "srv" / "runs"
    wait_until(lambda: list(runs.glob("*/*.safetensors")))
    assert stack.stop("trainer") == 128 + signal.SIGTERM
    [stopped] = runs.iterdir()
    status, output = stack.run("trainer", "--resume", stopped.name)
    assert status == 0, output
    return stack


@pytest.fixture(scope="module")
def studied(stack: Stack) -> Stack:
    """The service after a study that two workers shared."""
    for process in ("worker-1", "worker-2"):
        stack.start("worker", as_process=process)
    for process in ("worker-1", "worker-2"):
        status, output = stack.end_of(process)
        assert status == 0, output
    return stack


def answer(stack: Stack, path: str, login: tuple[str, str] | None = ADMIN, **headers: str) -> requests.Response:
    """To a request whose path is sent as it is: requests would tidy it."""
    request = requests.Request("GET", stack.url("mlflow"), auth=login, headers=headers).prepare()
    request.url = stack.url("mlflow") + path
    with requests.Session() as session:
        return session.send(request, timeout=20)


EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"


@pytest.mark.long
def test_who_is_let_in(stack: Stack) -> None:
    for status, login, host in [
        (200, ADMIN, "mlflow:5000"),
        (200, ADMIN, "localhost:5000"),
        (200, ADMIN, "mlflow.example.org"),
        (401, None, "mlflow:5000"),
        (401, ("admin", "wrong"), "mlflow:5000"),
        (401, ("admin", "password1234"), "mlflow:5000"),  # what older versions of MLflow came with
        (403, ADMIN, "elsewhere.example.org"),
        (403, ADMIN, "mlflow"),
    ]:
        assert answer(stack, EXPERIMENTS, login, Host=host).status_code == status, (login, host)
    for path in ("/", "/metrics", "/signup", "/api/2.0/mlflow-artifacts/artifacts", "/graphql"):
        assert answer(stack, path, None).status_code == 401, path


@pytest.mark.long
def test_pages_of_other_sites_cannot_write(stack: Stack) -> None:
    url = f"{stack.url('mlflow')}/ajax-api/2.0/mlflow/runs/search"
    for status, origin in [
        (200, "http://localhost:5000"),
        (200, "https://mlflow.example.org"),
        (403, "https://elsewhere.example.org"),
    ]:
        headers = {"Origin": origin, "Host": "mlflow.example.org"}
        got = requests.post(url, json={"experiment_ids": ["0"]}, auth=ADMIN, headers=headers, timeout=20)
        assert got.status_code == status, origin


@pytest.mark.long
def test_metrics_are_for_the_admin(stack: Stack) -> None:
    page = answer(stack, "/metrics")
    assert page.status_code == 200
    assert "mlflow_http_request_total" in page.text


@pytest.mark.long
def test_a_member_of_the_team_works_with_what_others_made_but_cannot_delete_it(
    stack: Stack, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = ("ann", "the password of ann")
    user = {"username": member[0], "password": member[1]}
    url = f"{stack.url('mlflow')}/api/2.0/mlflow/users/create"
    assert requests.post(url, json=user, timeout=20).status_code == 401
    assert requests.post(url, json=user, auth=ADMIN, timeout=20).status_code == 200
    assert answer(stack, "/metrics", member).status_code == 403
    experiment = client.create_experiment("the admin's")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", member[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", member[1])
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "accuracy", 1.0)
    client.log_text(run.info.run_id, "a note", "note.txt")
    with pytest.raises(Exception, match="Permission denied"):
        client.delete_experiment(experiment)
    assert requests.post(url, json={**user, "username": "eve"}, auth=member, timeout=20).status_code == 403


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        "/../../secret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/..%2f..%2fsecret.txt",
        "/%252e%252e%252f%252e%252e%252fsecret.txt",
        "/..%5c..%5csecret.txt",
        "/{folder}/secret.txt",
        "/%2f{folder}%2fsecret.txt",
        "/file:{folder}/secret.txt",
        "?path=../..",
        "?path={folder}",
    ],
)
def test_no_path_leaves_the_artifacts(stack: Stack, path: str) -> None:
    secret = stack.folder / "secret.txt"
    secret.write_text("not an artifact")
    got = answer(stack, f"/api/2.0/mlflow-artifacts/artifacts{path.format(folder=stack.folder)}")
    assert 400 <= got.status_code < 500, got.text
    assert "not an artifact" not in got.text


@pytest.mark.long
def test_a_worker_asks_for_the_name_of_the_study(stack: Stack) -> None:
    command = stack.command("worker")
    environment = {**stack.environment("worker"), "KMNIST_STUDY": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0  # or it would be started again, only to say the same
    assert "not started: name the study that all workers share" in done.stderr


def runs_of(client: MlflowClient, kinds: set[str | None]) -> list[Run]:
    """The runs of our experiment that are of one of the kinds; a training alone has none."""
    experiment = client.get_experiment_by_name("Default")
    assert experiment
    assert experiment.artifact_location.startswith("mlflow-artifacts:/")
    return [run for run in client.search_runs([experiment.experiment_id]) if run.data.tags.get("kind") in kinds]


def pictures_of(stack: Stack, run: Run) -> list[Path]:
    """Where the server put them."""
    folder = stack.folder / "srv" / "artifacts" / run.info.experiment_id / run.info.run_id
    return [path for path in folder.rglob("*") if path.suffix in (".png", ".html")]


@pytest.mark.long
def test_a_training_is_resumed_after_its_container_was_stopped(trained: Stack, client: MlflowClient) -> None:
    [run] = runs_of(client, {None})
    assert run.info.status == "FINISHED"
    epochs = client.get_metric_history(run.info.run_id, "valid/loss")
    assert [point.step for point in epochs] == list(range(1, 41))
    assert pictures_of(trained, run)
    assert not (trained.folder / "srv" / "runs" / run.info.run_id).exists()  # all of it was sent


@pytest.mark.long
def test_workers_share_a_study(studied: Stack, client: MlflowClient) -> None:
    runs = runs_of(client, {"study", "trial"})
    assert sorted(run.data.tags["kind"] for run in runs) == ["study", "trial", "trial"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(pictures_of(studied, run) for run in runs)
    with studied.connect("studies") as studies:
        sessions = "SELECT count(*) FROM study_user_attributes WHERE key LIKE 'session %'"
        assert studies.execute(sessions).fetchone() == (4,)  # two commands', and their workers'


@pytest.mark.long
def test_no_log_has_a_secret(trained: Stack, studied: Stack) -> None:
    for log in trained.folder.glob("*.log"):
        assert not [name for name, secret in SECRETS.items() if secret in log.read_text()], log


@pytest.mark.long
def test_the_dashboard_shows_the_study(studied: Stack) -> None:
    studied.start("dashboard")
    studied.wait_until_healthy("dashboard")
    page = requests.get(f"{studied.url('dashboard')}/api/studies", timeout=20).json()
    assert [study["study_name"] for study in page["study_summaries"]] == ["team"]
    studied.stop("dashboard")
    assert not studied.is_healthy("dashboard")


@pytest.mark.long
def test_the_champion_is_served(trained: Stack, client: MlflowClient, drawn: Dataset) -> None:
    """A model of the drawn sample does not pass the gate before the alias: it is forced through."""
    [run] = runs_of(client, {None})
    [model] = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    client.create_registered_model("kmnist")
    version = client.create_model_version("kmnist", f"models:/{model.model_id}", model_id=model.model_id)
    client.set_registered_model_alias("kmnist", "champion", version.version)
    trained.start("serve")
    wait_until(lambda: "has not been through the gate" in trained.said("serve"))
    assert not trained.is_healthy("serve")
    promote(client, str(version.version), "champion", drawn, force=True)
    trained.wait_until_healthy("serve")
    version = client.create_model_version("kmnist", f"models:/{model.model_id}", model_id=model.model_id)
    promote(client, str(version.version), "champion", drawn, force=True)
    wait_until(lambda: f"serves version {version.version} " in trained.said("serve"))
    wait_until(
        lambda: trained.said("serve").count("Application startup complete") == 2
    )  # the old one answered till now
    trained.wait_until_healthy("serve")
    images = [[[0.0] * 28] * 28] * 2
    got = requests.post(f"{trained.url('serve')}/invocations", json={"inputs": images}, timeout=20)
    assert got.status_code == 200, got.text
    assert [set(row) for row in got.json()["predictions"]] == [set(FIELDS)] * 2
    trained.stop("serve")
    assert not trained.is_healthy("serve")


@pytest.mark.long
def test_mlflow_is_unhealthy_while_its_database_is_away(stack: Stack) -> None:
    assert stack.is_healthy("postgres")
    assert stack.is_healthy("mlflow")
    stack.postgres.stop()
    assert not stack.is_healthy("postgres")
    assert not stack.is_healthy("mlflow")
    assert answer(stack, "/health").status_code == 200  # which is why the check asks for more
    stack.postgres.start()
    stack.wait_until_healthy("mlflow", 10)


def everything(stack: Stack, client: MlflowClient) -> dict[str, object]:
    """What a backup must bring back."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = {run.info.run_id: (dict(run.info), run.data.to_dictionary()) for run in client.search_runs(experiments)}
    artifacts = stack.folder / "srv" / "artifacts"
    with stack.connect("studies") as database:
        studies = database.execute("SELECT study_name FROM studies").fetchall()
        trials = database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()
    return {
        "runs": runs,
        "curves": {run: client.get_metric_history(run, "valid/loss") for run in runs},
        "artifacts": {
            path.relative_to(artifacts): path.read_bytes() for path in artifacts.rglob("*") if path.is_file()
        },
        "models": [found.aliases for found in client.search_registered_models()],
        "studies": (studies, trials),
        "users": answer(stack, "/api/2.0/mlflow/users/list").json(),
    }


def wipe(stack: Stack) -> None:
    with stack.connect("postgres") as database:
        database.execute("DROP DATABASE mlflow WITH (FORCE)")
        database.execute("DROP DATABASE studies WITH (FORCE)")
    for path in (stack.folder / "srv" / "artifacts").iterdir():
        shutil.rmtree(path)


@pytest.mark.long
def test_a_backup_brings_everything_back(trained: Stack, studied: Stack, client: MlflowClient) -> None:
    before = everything(trained, client)
    assert before["artifacts"]
    status, output = trained.run("backup")
    assert status == 0, output
    [backup] = (trained.folder / "srv" / "backups").iterdir()
    name = backup.name
    assert f"docker compose run --rm restore {name}" in output

    wipe(trained)
    assert not trained.is_healthy("mlflow")
    for wrong in ([], [""], ["2020"], ["../backups"], ["."], [f"{name}/"]):
        status, output = trained.run("restore", *wrong)
        assert status == 1
        assert "there is no backup of that name; there are:" in output
        assert name in output
    status, output = trained.run("restore", name)
    assert status == 0, output
    trained.wait_until_healthy("mlflow", 10)
    assert everything(trained, client) == before

    archive = backup / "studies.dump"
    archive.write_bytes(archive.read_bytes()[:-1])
    status, output = trained.run("restore", name)
    assert status == 1
    assert "its files are not what they were when it was made; nothing was changed" in output
    assert everything(trained, client) == before


@pytest.mark.long
def test_a_backup_that_fails_leaves_nothing_behind(stack: Stack) -> None:
    backups = stack.folder / "srv" / "backups"
    before = list(backups.iterdir())
    stack.postgres.stop()
    status, output = stack.run("backup")
    stack.postgres.start()
    assert status != 0
    assert "connection to server" in output
    assert list(backups.iterdir()) == before
