"""Aliases move one at a time, remember where they were, and find the way back."""

import shutil
import threading
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist.data import Dataset
from kmnist.errors import ModelError
from kmnist.network import WEIGHTS
from kmnist.registry import Rollback, promote, rollback
from kmnist.registry.gate import examine
from kmnist.registry.lease import SECONDS, lease
from kmnist.tracking import connect
from tests.registered import NAME, holder, make_version


@pytest.fixture
def client(store: str, saved: Path) -> MlflowClient:
    """A registry with three versions."""
    client = connect(store)
    client.create_registered_model(NAME)
    for _ in range(3):
        make_version(client, saved)
    return client


def promote_all(client: MlflowClient, data: Dataset, *numbers: str) -> None:
    for number in numbers:
        promote(client, number, "champion", data, force=True)


def test_rollback_goes_down_the_history_and_says_where_it_ends(client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1", "2", "3")
    assert rollback(client, "champion") == Rollback("3", "2", [])
    assert rollback(client, "champion") == Rollback("2", "1", [])
    with pytest.raises(ModelError, match="version 1 is the first that had the alias 'champion': nothing is before it"):
        rollback(client, "champion")
    promote_all(client, drawn, "3")  # from here a new way begins: 2 is not on it
    assert rollback(client, "champion") == Rollback("3", "1", [])


def test_a_version_may_have_had_the_alias_twice(client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1", "3", "1", "1")
    assert [rollback(client, "champion").after for _ in range(2)] == ["3", "1"]
    with pytest.raises(ModelError, match="nothing is before it"):
        rollback(client, "champion")


def test_deleted_versions_are_skipped_and_named(client: MlflowClient, saved: Path, drawn: Dataset) -> None:
    promote_all(client, drawn, "1", "2", "3")
    client.delete_model_version(NAME, "2")
    assert rollback(client, "champion") == Rollback("3", "1", ["2"])
    promote_all(client, drawn, "3")
    client.delete_model_version(NAME, "3")  # MLflow takes the alias away with it
    assert rollback(client, "champion") == Rollback(None, "1", ["3"])
    promote_all(client, drawn, make_version(client, saved))
    client.delete_model_version(NAME, "1")
    with pytest.raises(ModelError, match=r"version 4 is the first .*; version 1, which had it, is deleted: nothing"):
        rollback(client, "champion")
    assert holder(client) == "4"


def test_an_alias_that_was_set_by_other_means_is_in_the_history(client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1")
    client.set_registered_model_alias(NAME, "champion", "2")
    assert rollback(client, "champion") == Rollback("2", "1", [])
    client.set_registered_model_alias(NAME, "champion", "2")
    promote_all(client, drawn, "3")
    assert [rollback(client, "champion").after for _ in range(2)] == ["2", "1"]


def test_a_history_that_somebody_spoilt_is_no_traceback(client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1")
    client.set_registered_model_tag(NAME, "history.champion", "2 99999999999999999999 1")
    with pytest.raises(ModelError, match="nothing is before it"):
        rollback(client, "champion")
    assert holder(client) == "1"


def test_the_loser_of_two_promotions_at_once_is_told_so(
    client: MlflowClient, drawn: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both compare with version 1; the second to arrive would put a version in place of one it was not compared to."""
    promote_all(client, drawn, "1")
    both_have_compared = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(
        "kmnist.registry.aliases.examine", lambda *given: (both_have_compared.wait(), examine(*given))[1]
    )
    told: dict[str, str] = {}

    def run(number: str) -> None:
        try:
            promote(client, number, "champion", drawn, force=True)
        except ModelError as error:
            told[number] = str(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = holder(client)
    assert winner in ("1", "2", "3")
    losers = {"2", "3"} - {winner}
    assert set(told) == losers
    assert all("promote again" in text or "another command is moving" in text for text in told.values())
    if winner != "1":  # else each saw the other, and both gave way
        assert rollback(client, "champion") == Rollback(winner, "1", [])


def test_an_alias_that_moved_while_it_was_compared_stays(
    client: MlflowClient, drawn: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_all(client, drawn, "1")

    def slowly(*given: object) -> object:
        client.set_registered_model_alias(NAME, "champion", "3")
        return examine(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("kmnist.registry.aliases.examine", slowly)
    with pytest.raises(ModelError, match="champion was moved from version 1 to version 3 while version 2 was compared"):
        promote(client, "2", "champion", drawn, force=True)
    assert holder(client) == "3"


def test_one_command_at_a_time_moves_an_alias(client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1", "2")
    with lease(client, NAME, "champion"):
        with pytest.raises(ModelError, match="another command is moving the alias 'champion' right now"):
            rollback(client, "champion")
        promote(client, "3", "challenger", drawn, force=True)  # another alias
    assert rollback(client, "champion").after == "1"
    assert not [tag for tag in client.get_registered_model(NAME).tags if tag.startswith("moving.")]


@pytest.mark.parametrize("since", ["0", "nan", "x", "inf"])
def test_what_a_killed_command_left_behind_expires(since: str, client: MlflowClient, drawn: Dataset) -> None:
    promote_all(client, drawn, "1", "2")
    client.set_registered_model_tag(NAME, "moving.champion.abc", since)
    assert SECONDS < 600
    assert rollback(client, "champion").after == "1"
    assert "moving.champion.abc" not in client.get_registered_model(NAME).tags


def test_a_champion_that_cannot_be_loaded_is_told_and_can_be_replaced(
    client: MlflowClient, saved: Path, drawn: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    number = make_version(client, folder)
    promote_all(client, drawn, number)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="as_good_on_validation: it cannot be compared with the version that has the"):
        promote(client, "1", "champion", drawn)
    promote_all(client, drawn, "1")
    assert holder(client) == "1"
