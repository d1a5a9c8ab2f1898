"""Every request of register, promote, rollback and models fails in every way: told in a line, and nothing is wrong."""

import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.kmnist import SPEC
from kmnist.errors import KmnistError, ModelError, TrackingError
from kmnist.network import SavedNetwork
from kmnist.registry import find_best, list_versions, load_model, promote, register, rollback
from kmnist.tracking import MlflowRun, connect, create_run
from tests.commands import Command
from tests.faulty_server import Fault, FaultyServer, Kind
from tests.nets import network
from tests.registered import NAME, holder
from tests.servers import free_port, running_mlflow

pytestmark = pytest.mark.long
KINDS: list[Kind] = ["drop answer", 503, 401, 500, "cut answer"]
#: Files of a model are alike.
ALIKE = re.compile(r"(?<=/artifacts/).*|(?<=path=).*|\?.*")


@pytest.fixture(scope="module")
def proxy(template_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyServer]:
    folder = tmp_path_factory.mktemp("server")
    with running_mlflow(folder, template_store) as server, FaultyServer(server.url) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    yield connect(proxy.url)
    proxy.heal()


@pytest.fixture(scope="module")
def runs(proxy: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two runs with a model each, as if they had been trained."""
    client = connect(proxy.url)
    return [make_run(client, tmp_path_factory.mktemp("run")) for _ in range(2)]


def make_run(client: MlflowClient, folder: Path) -> str:
    config = TrainConfig.parse({"hidden": "8"})
    entity = create_run(client, "e", "a run")
    with MlflowRun(client, entity, folder) as run:
        run.log_params(config.as_text())
        run.log_tags({"dataset": "kmnist"})
        run.log_metrics({"test/accuracy": 0.1, "test/loss": 2.3, "best_epoch": 1, "valid/accuracy": 0.1}, 1)
        run.log_model(SavedNetwork(network(config), config, SPEC), 1, {"valid/accuracy": 0.1}, 1_700_000_000_000)
    return str(entity.info.run_id)


def registered(client: MlflowClient, runs: list[str]) -> list[str]:
    return [str(register(client, run_id).version) for run_id in runs]


def requests_of(proxy: FaultyServer, do: Callable[[], object]) -> list[str]:
    """Patterns of the requests that something makes, each once, while nothing fails."""
    proxy.heal()
    do()
    asked = {ALIKE.sub("", request) for request in proxy.requests if "server-info" not in request}  # it is remembered
    return sorted(f"^{re.escape(request)}" for request in asked)


def fail_each(
    proxy: FaultyServer,
    kind: Kind,
    do: Callable[[], object],
    prepare: Callable[[], object],
    check: Callable[[bool], None],
) -> int:
    """Let each request of ``do`` fail, for good and once; gives how often that was told.

    ``check`` is called when all is well again, with whether the command had failed.
    """
    told = 0
    prepare()
    for pattern in requests_of(proxy, do):
        for last in (1, 1_000_000):
            proxy.heal()
            prepare()
            proxy.inject(Fault(pattern, kind, last=last))
            said = ""
            try:
                do()
            except KmnistError as error:
                said = str(error)
            assert proxy.failed, pattern
            assert len(said.splitlines()) == 1 or not said or "is not promoted" in said, said
            assert len(said) < 1_000
            told += bool(said)
            proxy.heal()
            check(bool(said))
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_becomes_one_version(kind: Kind, proxy: FaultyServer, client: MlflowClient, runs: list[str]) -> None:
    def prepare() -> None:
        for version in client.search_model_versions(f"name = '{NAME}'"):
            client.delete_model_version(NAME, version.version)
        if client.search_registered_models():
            client.delete_registered_model(NAME)
        [model] = client.search_logged_models(
            [client.get_run(runs[0]).info.experiment_id], f"source_run_id = '{runs[0]}'"
        )
        if MLFLOW_MODEL_VERSIONS in model.tags:
            client.delete_logged_model_tag(model.model_id, MLFLOW_MODEL_VERSIONS)

    def check(failed: bool) -> None:
        before = len(client.search_model_versions(f"name = '{NAME}'")) if client.search_registered_models() else 0
        assert before <= 1
        assert before == 1 or failed
        assert register(client, runs[0]).run_id == runs[0]  # the same command, again
        assert len(client.search_model_versions(f"name = '{NAME}'")) == 1

    assert fail_each(proxy, kind, lambda: register(client, runs[0]), prepare, check) >= 5


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_gate_never_passes_uncompared(
    kind: Kind, proxy: FaultyServer, client: MlflowClient, runs: list[str], drawn: Dataset
) -> None:
    """Version 2 is refused, whatever fails: it was not trained on the drawn images. And it is compared with 1."""
    first, second = registered(client, runs)

    def prepare() -> None:
        client.set_registered_model_alias(NAME, "champion", first)

    def do() -> None:
        with pytest.raises(ModelError, match="is not promoted") as refused:
            promote(client, second, "champion", drawn)
        assert "no champion" not in str(refused.value)
        assert "gate.fast_enough" in client.get_model_version(NAME, second).tags

    def check(failed: bool) -> None:
        assert holder(client) == first

    assert fail_each(proxy, kind, do, prepare, check) >= 5


@pytest.mark.parametrize("kind", KINDS[:3])
def test_an_alias_moves_or_stays(
    kind: Kind, proxy: FaultyServer, client: MlflowClient, runs: list[str], drawn: Dataset
) -> None:
    """And after the same commands are given again, it is where they lead."""
    first, second = registered(client, runs)

    def prepare() -> None:
        client.set_registered_model_tag(NAME, "history.champion", first)
        client.set_registered_model_alias(NAME, "champion", first)
        for tag in client.get_registered_model(NAME).tags:
            if tag.startswith("moving."):
                client.delete_registered_model_tag(NAME, tag)

    def check(failed: bool) -> None:
        assert holder(client) == second or failed
        for tag in client.get_registered_model(NAME).tags:  # of a command that could not even take it away
            if tag.startswith("moving."):
                client.delete_registered_model_tag(NAME, tag)
        promote(client, second, "champion", drawn, force=True)
        assert holder(client) == second
        assert len(load_model(f"models:/{NAME}@champion", tracking_uri=proxy.url).predict(drawn.test.pixels[:2])) == 2
        assert rollback(client, "champion").after == first

    do = lambda: promote(client, second, "champion", drawn, force=True)  # noqa: E731
    assert fail_each(proxy, kind, do, prepare, check) >= 5


@pytest.mark.parametrize("kind", KINDS[1:])
def test_what_cannot_be_asked_is_not_taken_for_what_is_not_there(
    kind: Kind, proxy: FaultyServer, client: MlflowClient, runs: list[str], drawn: Dataset
) -> None:
    first, second = registered(client, runs)
    promote(client, first, "champion", drawn, force=True)
    promote(client, second, "champion", drawn, force=True)
    proxy.heal()
    proxy.inject(Fault("/registered-models/|/model-versions/", kind))
    asks: list[Callable[[], object]] = [
        lambda: list_versions(client),
        lambda: promote(client, first, "champion", drawn),
        lambda: rollback(client, "champion"),
        lambda: register(client, runs[0]),
        lambda: load_model(f"models:/{NAME}@champion", tracking_uri=proxy.url),
        lambda: load_model(f"models:/{NAME}/1", tracking_uri=proxy.url),
    ]
    for ask in asks:
        with pytest.raises(TrackingError, match="the tracking server has not done what it was asked"):
            ask()
    proxy.heal()
    proxy.inject(Fault("/artifacts", kind))
    with pytest.raises(TrackingError, match=r"the files of model mlflow-artifacts:/.* cannot be had"):
        load_model(f"runs:/{runs[0]}/model", tracking_uri=proxy.url)
    proxy.heal()
    proxy.inject(Fault("/runs/|/experiments/|/logged-models/", kind))
    with pytest.raises(TrackingError, match="the tracking server has not done what it was asked"):
        register(client, runs[0])
    with pytest.raises(TrackingError, match="the tracking server has not done what it was asked"):
        find_best(client, "e")
    proxy.heal()
    assert rollback(client, "champion").after == first


@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_end_in_a_line(
    kind: Kind, proxy: FaultyServer, client: MlflowClient, runs: list[str], kmnist_command: Command
) -> None:
    registered(client, runs)
    Path("x.png").touch()
    for faulty in ("/registered-models/|/model-versions/", "/runs/", "/experiments/search"):
        for command in (("models",), ("register", runs[0]), ("rollback",), ("predict", "x.png")):
            proxy.heal()
            proxy.inject(Fault(faulty, kind))
            done = kmnist_command(*command, "--tracking-uri", proxy.url)
            if not proxy.failed:
                continue  # this command does not ask for that
            assert done.returncode == 1
            assert done.stdout == ""
            assert done.stderr.startswith("kmnist: the tracking server ")
            assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_gone_is_told_soon(tmp_path: Path) -> None:
    """In a process of its own, where nothing has been imported that would hurry MLflow."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    (tmp_path / "x.png").touch()
    command = ["predict", str(tmp_path / "x.png"), "--tracking-uri", f"http://127.0.0.1:{free_port()}"]
    done = subprocess.run(
        [sys.executable, "-m", "kmnist", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"kmnist: the tracking server has not done .*Connection refused.*\n", done.stderr)


def register_at_once(url: str, runs: list[str], barrier: Barrier, numbers: "multiprocessing.Queue[list[str]]") -> None:
    client = connect(url)
    found = []
    for run_id in runs:
        barrier.wait(timeout=60)
        found.append(str(register(client, run_id).version))
    numbers.put(found)


def test_two_that_register_at_once_get_the_same_version(
    proxy: FaultyServer, client: MlflowClient, tmp_path: Path
) -> None:
    runs = [make_run(client, tmp_path / str(number)) for number in range(2)]
    proxy.heal()
    proxy.inject(Fault("/model-versions/search", "delay", seconds=1))  # so that neither sees the other's at first
    context = multiprocessing.get_context("spawn")
    barrier, numbers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=register_at_once, args=(proxy.url, runs, barrier, numbers)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = numbers.get(timeout=100), numbers.get(timeout=100)
    for process in processes:
        process.join()
    proxy.heal()
    assert first == second
    there = [version.run_id for version in client.search_model_versions(f"name = '{NAME}'")]
    assert [there.count(run_id) for run_id in runs] == [1, 1]
