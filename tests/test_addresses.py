"""What is secret in an address is shown nowhere, and what is not stays readable."""

import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kmnist.addresses import folder_address, local_folder, parse_database, redact
from kmnist.errors import SettingError
from kmnist.tracking import MlflowRun, connect, create_run
from tests.commands import Command
from tests.servers import MlflowServer

#: As people choose them; short ones would be found in any text.
PASSWORDS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20).map(lambda s: f"~{s}~")
AROUND = st.sampled_from(["", "storage ", "cannot reach '", "(", "url="])


@given(PASSWORDS, AROUND)
@example("p@ss", "")
@example("5001/y", "")
@example("se#cr/et?x=1&y", "storage ")
@example("a:b//c@d", "")
def test_no_password_is_shown_and_host_user_and_database_are(password: str, before: str) -> None:
    for address, kept in [
        (f"postgresql://me:{password}@db.host:5432/studies", ("postgresql://me:", "@db.host:5432/studies")),
        (f"http://me:{quote(password)}@host:5000/x", ("http://me:", "@host:5000/x")),
        (f"sqlite+pysqlcipher://:{password}@/studies.db", ("sqlite+pysqlcipher://:", "@/studies.db")),
        (f"postgresql://host/studies?user=me&password={quote(password)}", ("postgresql://host/studies?user=me",)),
        (f"postgresql://host/studies?sslpassword={quote(password)}&user=me", ("postgresql://host/studies?", "user=me")),
        (f"https://host/?token={quote(password, safe='')}", ("https://host/",)),
        (f"https://{quote(password, safe='')}@host/x", ("https://", "@host/x")),
        ("host=h password='" + password.replace("\\", "\\\\").replace("'", "\\'") + "' user=me", ("host=h", "user=me")),
    ]:
        shown = redact(f"{before}{address} does not answer")
        assert password not in shown
        assert quote(password) not in shown
        assert all(part in shown for part in (before, *kept, "does not answer")), shown
        assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000 cannot be used: models:/kmnist@champion is not there",
        "http://[::1]:5000/#/experiments/1/runs/2, kmnist@champion",
        "sqlite:////home/me/mlflow.db",
        "postgresql://me@host/studies",
        "version 3 of kmnist: 0.9197 (valid/accuracy), git@github.com:me/kmnist.git",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_a_password_with_blanks_or_in_a_path_is_hidden() -> None:
    assert redact("nothing in http:/me:secret@host/x") == "nothing in http:/me:***@host/x"
    assert redact("http://me:se cr et@host/x is away") == "http://me:***@host/x is away"


def test_long_texts_take_no_time() -> None:
    began = time.process_time()
    for text in ("a" * 300_000, "http://x:" * 30_000, "password" * 30_000, "?token" * 30_000, "a@" * 100_000):
        redact(text)
    assert time.process_time() - began < 5


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="?%"), min_size=1, max_size=20))
@example("@/")
@example("@0/")
def test_a_password_need_not_be_encoded(password: str) -> None:
    url = parse_database(f"postgresql+psycopg://me:{password}@host:5432/studies")
    assert (url.username, url.password, url.host, url.port, url.database) == ("me", password, "host", 5432, "studies")


def test_what_is_no_address_is_told_without_its_password() -> None:
    with pytest.raises(SettingError, match=r"postgresql://me:\*\*\*@host:port/x: must be an address like"):
        parse_database("postgresql://me:secret@host:port/x")


@pytest.mark.parametrize("command", ["studies", "tune"])
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cret@127.0.0.1:9/d",
        "postgresql://me:#s3cret@127.0.0.1:9/d",
        "postgresql://me:x/s3cret@127.0.0.1:9/d",
        "postgresql://me:x@s3cret@127.0.0.1:9/d",
        "postgresql://me:x@w:s3cret@127.0.0.1:9/d",
        "postgresql://me:x:s3cret@127.0.0.1:9/d",
        "postgresql://me:%20s3cret@127.0.0.1:9/d",
        "postgresql://127.0.0.1:9/d?user=me&password=s3cret",
        "postgresql://me@127.0.0.1:9/d?sslpassword=s3cret",
        "postgresql://me:s3cret@127.0.0.1:port/d",
        "mysql://me:s3cret@127.0.0.1/d",
        "sqlite+pysqlcipher://:s3cret@/d?kdf_iter=64000",
        "sqlite:///studies.db?key=s3cret",
        "host=127.0.0.1 user=me password=s3cret",
    ],
)
def test_a_storage_that_is_not_there_is_told_without_its_password(
    command: str, address: str, kmnist_command: Command
) -> None:
    done = kmnist_command(command, "--storage", address)
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr
    assert "***" in done.stderr
    assert "127.0.0.1" in done.stderr or "sqlite" in done.stderr


@pytest.mark.parametrize(
    "address",
    [
        "http://me:s3cret@127.0.0.1:9",
        "http://me:#s3cret@127.0.0.1:9",
        "http://me:x/s3cret@127.0.0.1:9",
        "http://me:x@s3cret@127.0.0.1:9",
        "http://me:s3cret%20x@127.0.0.1:9",
        "http://s3cret@127.0.0.1:9",
        "http://127.0.0.1:9?token=s3cret",
        "postgresql://me:s3cret@127.0.0.1:port/d",
    ],
)
def test_a_tracking_server_that_is_not_there_is_told_without_its_password(
    address: str, kmnist_command: Command
) -> None:
    done = kmnist_command("train", "--dataset", "sample", "--tracking-uri", address)
    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr
    assert "127.0.0.1" in done.stderr


@pytest.mark.long
def test_a_training_says_where_it_is_without_the_password(mlflow_server: MlflowServer, kmnist_command: Command) -> None:
    address = mlflow_server.url.replace("http://", "http://me:s3cret@")
    done = kmnist_command("train", "--dataset", "sample", "--hidden", "8", "--epochs", "1", "--tracking-uri", address)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert f"{mlflow_server.url}/#/experiments/" in done.stdout


def test_bad_usage_shows_no_password(kmnist_command: Command) -> None:
    done = kmnist_command(
        "studies", "--storage", "studies.log", "http://me:s3cret@host", "--tracking-url=http://me:s3cret@h"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("kmnist: ")
    assert "s3cret" not in done.stdout + done.stderr


#: What files and folders are called, to the grief of whoever takes a path for an address.
ODD_NAMES = ["other dir", "50%20off", "100%", "a#b", "q?x=1", "back\\slash", "平仮名", "a+b;c&d=e", "%2e%2e"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20))
@example("%2e%2e")
@example("a#b?c d%20é")
def test_a_folder_and_its_address_are_turned_into_each_other(name: str) -> None:
    folder = Path("/data") / name
    assert local_folder(folder_address(folder / "x")) == folder / "x"


def test_a_location_elsewhere_is_no_folder() -> None:
    for address in ("mlflow-artifacts:/1", "s3://bucket/1", "http://host/1", "dbfs:/1"):
        assert local_folder(address) is None
    assert local_folder("/data/other dir") == Path("/data/other dir")
    assert local_folder("/data/other%20dir") == Path("/data/other dir")  # MLflow reads a path like this


@pytest.mark.parametrize("name", ODD_NAMES)
def test_artifacts_lie_in_the_folder_of_the_command_whatever_it_is_called(
    name: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / name).mkdir()
    monkeypatch.chdir(folder)
    client = connect(store)
    entity = create_run(client, "odd", "a run")
    with MlflowRun(client, entity, folder / "runs" / entity.info.run_id) as run:
        run.log_file(b"abc", "figures/a.txt")
    assert run.is_complete
    [file] = folder.rglob("a.txt")
    assert file.is_relative_to(folder / "mlruns")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "mlflow.db"])
    assert [found.path for found in client.list_artifacts(run.id, "figures")] == ["figures/a.txt"]
