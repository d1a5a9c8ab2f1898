"""What is loaded by an alias are the files that went through the gate, and where keys are used, that was signed."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pytest
from mlflow import MlflowClient
from packaging.version import Version

from kmnist.data import Dataset
from kmnist.errors import ModelError
from kmnist.network import WEIGHTS
from kmnist.registry import load_model, promote
from kmnist.registry.files import digest_files
from kmnist.tracking import connect
from tests.commands import Command
from tests.registered import NAME, holder, make_version

CHAMPION = "models:/kmnist@champion"


@pytest.fixture
def client(store: str) -> MlflowClient:
    client = connect(store)
    client.create_registered_model(NAME)
    return client


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """The files of a version, where its artifact store would have them."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """Makes a private and a public key as the documentation says."""

    def make(name: str) -> tuple[Path, Path]:
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        return private, public

    return make


Keys = Callable[[str], tuple[Path, Path]]


def add(folder: Path) -> None:
    (folder / "code" / "kmnist_model" / "more.py").write_text("")


def remove(folder: Path) -> None:
    (folder / "python_env.yaml").unlink()


def rename(folder: Path) -> None:
    (folder / "conda.yaml").rename(folder / "conda.yml")


def edit(folder: Path) -> None:
    (folder / "code" / "kmnist_model" / "serving.py").write_text("print('somebody else')")


def swap(folder: Path) -> None:
    """Two files change places: the same paths, the same contents."""
    first, second = (folder / "conda.yaml").read_text(), (folder / "requirements.txt").read_text()
    (folder / "conda.yaml").write_text(second)
    (folder / "requirements.txt").write_text(first)


@pytest.mark.parametrize("change", [add, remove, rename, edit, swap])
def test_files_that_changed_after_the_gate_are_not_loaded(
    change: Callable[[Path], None], client: MlflowClient, model: Path, drawn: Dataset, kmnist_command: Command
) -> None:
    number = make_version(client, model)
    promote(client, number, "champion", drawn, force=True)
    assert client.get_model_version(NAME, number).tags["sha256"] == digest_files(model)
    assert len(load_model(CHAMPION).predict(drawn.test.pixels[:2])) == 2
    change(model)
    for uri in (CHAMPION, f"models:/{NAME}/{number}"):
        with pytest.raises(ModelError, match=f"model {uri}: the files of version 1 are not those that went through"):
            load_model(uri)
    with pytest.raises(ModelError, match="are not those that went through the gate"):  # not even by force
        promote(client, number, "challenger", drawn, force=True)
    np.save("images.npy", drawn.test.pixels[:2])
    for command in (("predict", "images.npy", "--raw"), ("serve",), ("demo", "--port", "0")):
        done = kmnist_command(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"kmnist: model {CHAMPION}: the files of version 1 are not those that went")


def test_an_alias_that_did_not_go_through_the_gate_is_not_loaded(
    client: MlflowClient, model: Path, drawn: Dataset
) -> None:
    number = make_version(client, model)
    client.set_registered_model_alias(NAME, "champion", number)
    with pytest.raises(ModelError, match=r"version 1 has not been through the gate, .*: kmnist promote 1"):
        load_model(CHAMPION)
    assert len(load_model(f"models:/{NAME}/1").predict(drawn.test.pixels[:2])) == 2  # by its number, it is asked for


def test_only_what_was_signed_is_loaded_where_a_key_is_set(
    client: MlflowClient, model: Path, drawn: Dataset, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys("ours")
    number = make_version(client, model)
    promote(client, number, "champion", drawn, force=True)
    monkeypatch.setenv("KMNIST_VERIFY_KEY", str(public))
    for uri in (CHAMPION, f"models:/{NAME}/{number}"):
        with pytest.raises(ModelError, match="version 1 is not signed, and KMNIST_VERIFY_KEY demands it; sign it: KMN"):
            load_model(uri)
    monkeypatch.setenv("KMNIST_SIGNING_KEY", str(private))
    promote(client, number, "champion", drawn, force=True)
    assert len(load_model(CHAMPION).predict(drawn.test.pixels[:2])) == 2


def test_who_may_write_both_files_and_registry_needs_the_key(
    client: MlflowClient, model: Path, saved: Path, drawn: Dataset, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys("ours")
    monkeypatch.setenv("KMNIST_SIGNING_KEY", str(private))
    promote(client, make_version(client, model), "champion", drawn, force=True)
    monkeypatch.setenv("KMNIST_VERIFY_KEY", str(public))
    load_model(CHAMPION)
    tags = client.get_model_version(NAME, "1").tags

    edit(model)
    client.set_model_version_tag(NAME, "1", "sha256", digest_files(model))
    with pytest.raises(ModelError, match="the signature of version 1 was not made with the key of KMNIST_VERIFY_KEY"):
        load_model(CHAMPION)

    other = make_version(client, saved)  # the very files that were signed, but another version
    for tag in ("sha256", "signature"):
        client.set_model_version_tag(NAME, other, tag, tags[tag])
    client.set_registered_model_alias(NAME, "champion", other)
    with pytest.raises(ModelError, match="the signature of version 2 was not made"):
        load_model(CHAMPION)

    monkeypatch.setenv("KMNIST_SIGNING_KEY", str(keys("theirs")[0]))
    promote(client, other, "challenger", drawn, force=True)
    for signature in (None, "", "no base64", "AAAA"):
        if signature is not None:
            client.set_model_version_tag(NAME, other, "signature", signature)
        with pytest.raises(ModelError, match=r"the signature of version 2 was not made|version 2 is not signed"):
            load_model(f"models:/{NAME}@challenger")


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_is_told_before_anything_is_measured(
    content: bytes | None,
    client: MlflowClient,
    model: Path,
    drawn: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    number = make_version(client, model)
    monkeypatch.setenv("KMNIST_SIGNING_KEY", str(path))
    with pytest.raises(ModelError, match=r"KMNIST_SIGNING_KEY=.*key.pem: .*openssl genpkey -algorithm ed25519 makes"):
        promote(client, number, "champion", drawn, force=True)
    assert holder(client) is None
    monkeypatch.delenv("KMNIST_SIGNING_KEY")
    promote(client, number, "champion", drawn, force=True)
    monkeypatch.setenv("KMNIST_VERIFY_KEY", str(path))
    with pytest.raises(ModelError, match=r"KMNIST_VERIFY_KEY=.*key.pem: .*openssl pkey"):
        load_model(CHAMPION)


def test_keys_of_another_kind_are_told(
    client: MlflowClient, model: Path, drawn: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = tmp_path / "rsa.pem", tmp_path / "rsa.pub.pem"
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "rsa", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    promote(client, make_version(client, model), "champion", drawn, force=True)
    monkeypatch.setenv("KMNIST_SIGNING_KEY", str(private))
    with pytest.raises(ModelError, match="must be an Ed25519 key"):
        promote(client, "1", "champion", drawn, force=True)
    monkeypatch.setenv("KMNIST_VERIFY_KEY", str(public))
    with pytest.raises(ModelError, match="must be an Ed25519 key"):
        load_model(CHAMPION)


def test_what_mlflow_writes_into_a_model_that_it_loads_changes_nothing(
    client: MlflowClient, model: Path, drawn: Dataset
) -> None:
    promote(client, make_version(client, model), "champion", drawn, force=True)
    before = set(model.rglob("*"))
    mlflow.pyfunc.load_model(CHAMPION)
    assert (set(model.rglob("*")) > before) == (
        Version(mlflow.__version__) < Version("3.18")
    )  # from then on, it writes nothing
    assert len(load_model(CHAMPION).predict(drawn.test.pixels[:2])) == 2


def test_the_digest_counts_what_is_there_and_nothing_else(tmp_path: Path, model: Path) -> None:
    before = digest_files(model)
    (model / "empty").mkdir()
    assert digest_files(model) == before
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    assert digest_files(copy) == before
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes() + b"\0")
    assert digest_files(copy) != before
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="link is no plain file"):
        digest_files(model)
