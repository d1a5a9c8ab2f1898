"""``kmnist evaluate``: a model measured after its training, on its own splits and on pictures of one's own."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.experiment import prepare, train
from kmnist.registry import register
from kmnist.tracking import MlflowRun, connect, create_run
from tests.commands import Command
from tests.nets import drawn_images

DATA = drawn_images()
TEXTS = [label.text for label in DATA.spec.classes]


@pytest.fixture(scope="module")
def one_run(template_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was trained; to be copied, not to be changed."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(template_store, folder / "mlflow.db")
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_experiment("e", artifact_location=str(folder / "artifacts"))
    entity = create_run(client, "e", "a run")
    config = TrainConfig.parse({"dataset": "sample", "epochs": 2, "hidden": "64"})
    with MlflowRun(client, entity, folder / "run") as run:
        train(config, prepare(config, DATA), DATA.test, run, run.folder, threads=1)
    return folder / "mlflow.db"


@pytest.fixture
def trained(one_run: Path, store: str) -> Run:
    """The only run of this test's store."""
    shutil.copy(one_run, store.removeprefix("sqlite:///"))
    [run] = runs(store)
    return run


def runs(store: str) -> list[Run]:
    client = MlflowClient(store)
    return list(client.search_runs([one.experiment_id for one in client.search_experiments()]))


def write_pictures(folder: Path, count: int) -> None:
    """The first test images, a folder for each class, dark on light."""
    for place, (pixels, label) in enumerate(zip(DATA.test.pixels[:count], DATA.test.labels)):
        inside = folder / [str(label), TEXTS[label], DATA.spec.classes[label].glyph][label % 3]
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - pixels).save(inside / f"{place:04}.png")


@pytest.mark.slow
def test_a_model_on_its_own_splits_has_the_numbers_of_its_run(
    trained: Run, kmnist_command: Command, store: str
) -> None:
    uri = f"runs:/{trained.info.run_id}/model"
    for split in ("test", "valid"):
        done = kmnist_command("evaluate", uri, "sample", "--split", split)
        assert done.returncode == 0, done.stderr
        run = max(runs(store), key=lambda run: run.info.start_time)
        run, metrics = MlflowClient(store).get_run(run.info.run_id), run.data.metrics
        there = {name: trained.data.metrics[f"{split}/{name}"] for name in ("accuracy",)}
        if split == "test":
            there |= {name: trained.data.metrics[f"test/{name}"] for name in ("loss", "unsure")}
        assert {name: metrics[f"evaluation/{name}"] for name in there} == pytest.approx(there, rel=1e-6)
        assert run.data.tags["kind"] == "evaluation"
        assert run.data.tags["model"] == uri

    # It is linked to the model both ways, with the digest of what it was measured on.
    client = MlflowClient(store)
    assert trained.outputs
    assert run.inputs
    [output] = trained.outputs.model_outputs
    assert [given.model_id for given in run.inputs.model_inputs] == [output.model_id]
    points = client.get_logged_model(output.model_id).metrics or []
    measured = [one for one in points if one.key == "evaluation/accuracy"]
    assert {one.dataset_name for one in measured} == {"sample-test", "sample-valid"}
    assert {one.run_id for one in measured} >= {run.info.run_id}
    files = {file.path for place in ("figures", "reports") for file in client.list_artifacts(run.info.run_id, place)}
    assert {"figures/confusion_matrix.png", "figures/misclassified.png", "reports/per_class.csv"} <= files


@pytest.mark.slow
def test_pictures_of_ones_own(trained: Run, kmnist_command: Command, store: str, tmp_path: Path) -> None:
    uri, folder = f"runs:/{trained.info.run_id}/model", tmp_path / "mine"
    write_pictures(folder, 60)
    (folder / "0" / "broken.png").write_bytes(b"no picture")
    done = kmnist_command("evaluate", uri, str(folder))
    assert done.returncode == 1
    assert "1 of the pictures could not be read; the first: " in done.stderr
    assert "broken.png" in done.stderr
    by_folder = max(runs(store), key=lambda run: run.info.start_time)
    assert by_folder.info.status == "FINISHED"
    assert by_folder.data.tags["dataset"] == "mine"
    assert by_folder.inputs
    assert by_folder.inputs.dataset_inputs[0].dataset.name == "mine-pictures"

    # The same as a table, whose pictures are named from its own folder.
    paths = sorted(folder.rglob("0*.png"))
    names = [path.relative_to(folder) for path in paths]
    table = pd.DataFrame({"picture": names, "label": [path.parent.name for path in paths]})
    table.to_csv(folder / "table.csv", index=False)
    assert kmnist_command("evaluate", uri, str(folder / "table.csv")).returncode == 0
    by_table = max(runs(store), key=lambda run: run.info.start_time)
    there, here = by_folder.data.metrics, by_table.data.metrics
    assert {name for name in there if name.startswith("evaluation/")} >= {"evaluation/accuracy", "evaluation/loss"}
    assert here == pytest.approx(there)


@pytest.mark.slow
def test_what_cannot_be_measured_is_told_and_leaves_no_run(
    trained: Run, kmnist_command: Command, store: str, tmp_path: Path
) -> None:
    uri = f"runs:/{trained.info.run_id}/model"
    write_pictures(tmp_path / "odd", 3)
    (tmp_path / "odd" / "omega").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "odd" / "omega" / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("file,kana\na.png,o\n")
    for data, message in [
        ("nowhere", "dataset=nowhere: must be auto, kmnist, kuzushiji49, sample, or the path of a file or folder"),
        ("./nowhere", "nowhere is no data set: there is no such file or folder"),
        (str(tmp_path / "odd"), "'omega' is none of the classes of the drawn sample, which are: 0 o お"),
        (str(tmp_path / "empty"), "is no data set: the folder is empty. What is taken is"),
        (str(tmp_path / "a.csv"), "is no data set: it is a file of 18 bytes"),
    ]:
        done = kmnist_command("evaluate", uri, data)
        assert done.returncode == 1, data
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert len(runs(store)) == 1


@pytest.mark.slow
def test_it_is_told_with_the_registered_version(trained: Run, kmnist_command: Command, store: str) -> None:
    client = MlflowClient(store)
    client.set_tag(trained.info.run_id, "dataset", "another")  # the sample is not registered
    version = register(client, trained.info.run_id)
    assert kmnist_command("evaluate", f"models:/another/{version.version}", "sample").returncode == 0
    run = client.get_run(max(runs(store), key=lambda run: run.info.start_time).info.run_id)
    tags = client.get_model_version("another", version.version).tags
    accuracy = run.data.metrics["evaluation/accuracy"]
    assert tags["evaluation.sample-test"] == f"accuracy {accuracy:.4f}, run {run.info.run_id}"
    assert run.data.tags["model.version"] == str(version.version)
    assert run.inputs
    assert "another" in client.get_logged_model(run.inputs.model_inputs[0].model_id).tags["mlflow.modelVersions"]
