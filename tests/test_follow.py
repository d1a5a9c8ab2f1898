"""``kmnist serve --follow``: which model it goes on to, asked of a real registry."""

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from mlflow import MlflowClient

from kmnist.cli import serve
from kmnist.data import Dataset
from kmnist.registry import Fetched, fetch, promote
from kmnist.tracking import connect
from tests.registered import NAME, make_version

CHAMPION = f"models:/{NAME}@champion"
Change = Callable[[], object]


@pytest.fixture
def client(store: str) -> MlflowClient:
    client = connect(store)
    client.create_registered_model(NAME)
    return client


class Server:
    """A process at which ``--follow`` waits between two looks; before each look one thing changes."""

    def __init__(self, process: "subprocess.Popen[bytes]", changes: Sequence[Change]) -> None:
        self._process, self._changes = process, list(changes)

    def wait(self, seconds: float) -> int:
        assert seconds == serve.LOOK_SECONDS
        if not self._changes:
            self._process.kill()
            return self._process.wait()
        self._changes.pop(0)()
        return self._process.wait(0)  # raises: it runs


def after(changes: Sequence[Change], found: Fetched) -> Fetched | None:
    """What is served next, where all this happens meanwhile, and then the server ends."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            server = cast("subprocess.Popen[bytes]", Server(process, changes))
            return serve._next(server, found, CHAMPION, None)
        finally:
            process.kill()


def nothing() -> None:
    pass


def test_a_model_that_was_deleted_and_made_again_is_served_though_its_number_is_the_same(
    client: MlflowClient, saved: Path, drawn: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(client, make_version(client, saved), "champion", drawn, force=True)
    found = fetch(CHAMPION)

    def remake() -> None:
        client.create_registered_model(NAME)
        promote(client, make_version(client, saved), "champion", drawn, force=True)

    following = after([nothing, lambda: client.delete_registered_model(NAME), nothing, nothing, remake], found)
    assert found.version is not None
    assert following is not None
    assert following.version is not None
    assert following.version.version == found.version.version
    assert following.run_id != found.run_id
    gone, serves = capsys.readouterr().err.splitlines()  # that it is gone is said once, not at every look
    assert gone.endswith("; what was served before is served on")
    assert serves == "kmnist: serves version 1 from now on"


def test_an_alias_that_moves_is_followed_and_a_promotion_that_changes_nothing_is_not(
    client: MlflowClient, saved: Path, drawn: Dataset
) -> None:
    promote(client, make_version(client, saved), "champion", drawn, force=True)
    found = fetch(CHAMPION)
    again = partial(promote, client, "1", "champion", drawn, force=True)
    assert after([again, nothing], found) is None
    make_version(client, saved)
    following = after([nothing, partial(promote, client, "2", "champion", drawn, force=True)], found)
    assert following is not None
    assert following.version is not None
    assert str(following.version.version) == "2"


def test_files_that_changed_are_not_served_and_that_is_said_once(
    client: MlflowClient, saved: Path, drawn: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(client, make_version(client, saved), "champion", drawn, force=True)
    found = fetch(CHAMPION)
    number = make_version(client, saved)
    client.set_model_version_tag(NAME, number, "sha256", "0" * 64)
    move = partial(client.set_registered_model_alias, NAME, "champion", number)
    assert after([nothing, move, nothing, nothing], found) is None
    [said] = capsys.readouterr().err.splitlines()
    assert "are not those that went through the gate" in said
    assert said.endswith("; what was served before is served on")
