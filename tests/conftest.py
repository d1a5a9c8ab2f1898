"""What the tests share: a small drawn data set, a tracking store that costs little, and the real data where it is."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import hypothesis
import pytest
import torch
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.kmnist import load_kmnist
from kmnist.experiment import Splits, prepare
from tests.browser import browser
from tests.champion import expected, images, registry
from tests.commands import kmnist_command
from tests.nets import drawn_images
from tests.postgres import Postgres, can_run
from tests.registered import saved
from tests.servers import MlflowServer, running_mlflow

__all__ = ["browser", "expected", "images", "kmnist_command", "registry", "saved"]  # fixtures

os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
hypothesis.settings.register_profile("shared", deadline=None)  # a machine that others use, too, is slow at times
hypothesis.settings.load_profile("shared")
# A shell lets what a script starts with & ignore Ctrl-C, and so would every command that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # golden numbers depend on it, and two processes side by side would fight for the cores


@pytest.fixture(scope="session")
def drawn() -> Dataset:
    """600 + 200 drawn images."""
    return drawn_images(train=600, test=200)


@pytest.fixture(scope="module", autouse=True)
def _blank_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures are made, and not drawn, in files that do not look at them: it takes longer than a test's training."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("figures") is None:
            patch.setattr("matplotlib.figure.Figure.savefig", _save_nothing)
        yield


def _save_nothing(figure: object, file: BytesIO, format: str = "png", **options: object) -> None:
    if format == "svg":
        file.write(b"<svg/>")
    else:
        Image.new("L", (1, 1)).save(file, format)


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """Settings that train in a moment."""
    return TrainConfig.parse({"hidden": "32,16", "epochs": 4, "batch_size": 64, "precision": "fp32"})


@pytest.fixture(scope="session")
def splits(config: TrainConfig, drawn: Dataset) -> Splits:
    """The drawn images, split."""
    return prepare(config, drawn)


@pytest.fixture(scope="session")
def kmnist() -> Dataset:
    """Kuzushiji-MNIST itself."""
    folder = os.environ.get("KMNIST_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data: set KMNIST_DATA_DIR to the folder of the four Kuzushiji-MNIST files")
    return load_kmnist(Path(folder), fetch=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server."""
    if not can_run():
        pytest.skip("needs PostgreSQL (Debian: apt install postgresql), and as root the user postgres to run it")
    server = Postgres()
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["file", pytest.param("postgresql", marks=pytest.mark.slow)])
def study_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A storage for studies of either kind, empty."""
    if request.param == "file":
        return str(tmp_path / "studies.log")
    server: Postgres = request.getfixturevalue("postgres")
    return server.create_database(f"studies_{uuid.uuid4().hex[:12]}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root, and leave to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def template_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty sqlite tracking store; to copy it takes a fraction of the time that MLflow takes to make one."""
    from kmnist.tracking import connect

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def mlflow_server(template_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server for tests that let it live, and find what they put there by names of their own."""
    with running_mlflow(tmp_path_factory.mktemp("server"), template_store) as server:
        yield server


@pytest.fixture
def store(template_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh tracking store; the test runs in its folder, where MLflow puts artifacts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    shutil.copy(template_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
