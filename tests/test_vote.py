"""``kmnist ensemble vote`` over trained runs: one registered model, its run, its report, and what is refused."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist.config import TrainConfig
from kmnist.data import DATASETS, Dataset
from kmnist.errors import DataError, KmnistError, ModelError, SettingError
from kmnist.experiment import prepare, train
from kmnist.experiment.evaluate import evaluate_saved
from kmnist.jobs.course import Places
from kmnist.jobs.engine import Engine
from kmnist.jobs.ensemble import run_vote
from kmnist.network import SavedNetwork
from kmnist.registry import fetch_network, load_model, promote, register
from kmnist.report import MARKDOWN, Report, arrange, report_files
from kmnist.report.sections.ensemble import ensemble
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.tracking.collect import collect, runs_of_ensemble
from kmnist.training.evaluate import evaluate
from tests.commands import environment
from tests.memory_run import MemoryRun
from tests.nets import network
from tests.toys import squares

NAME = "kana"
SETTINGS = {"hidden": "32,16", "epochs": 6, "batch_size": 32, "precision": "fp32", "dataset": NAME, "split_seed": 0}


class Silent:
    """What a person sees of an ensemble, remembered."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def data(self, data: Dataset) -> None: ...

    def say(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Shelf:
    """A store with trained members."""

    client: MlflowClient
    folder: Path
    data: Dataset
    runs: dict[str, str] = field(default_factory=dict)

    def vote(self, *names: str, best: int | None = None, tta: int = 0, **about: str) -> tuple[Run, list[str]]:
        """The ensemble's run, and what was said."""
        view = Silent()
        places = Places("", self.client.tracking_uri, "e", self.folder, self.folder, Engine(), False, about)
        run_vote(places, view, [self.runs.get(name, name) for name in names], best=best, tta=tta, name=None)  # type: ignore[arg-type]
        [experiment] = self.client.search_experiments(filter_string="name = 'e'")
        newest = self.client.search_runs(
            [experiment.experiment_id], "tags.kind = 'ensemble'", order_by=["attributes.start_time DESC"]
        )
        return self.client.get_run(newest[0].info.run_id), view.lines


@pytest.fixture(scope="module")
def shelf(template_store: Path, drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Three members with one split, and others that are not fit to be some."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(template_store, folder / "mlflow.db")
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_experiment("e", artifact_location=str(folder / "artifacts"))
    many = Dataset.build(replace(drawn.spec, name=NAME, digests={}), "drawn", drawn.train, drawn.test)
    found = Shelf(client, folder, many)
    for seed in (0, 1, 2):
        config = TrainConfig.parse({**SETTINGS, "seed": seed, "valid_fraction": 0.4})
        entity = create_run(client, "e", f"seed {seed}")
        with MlflowRun(client, entity, folder / entity.info.run_id) as run:
            train(config, prepare(config, many), many.test, run, run.folder, threads=1, diagnostics=False)
        found.runs[f"{seed}"] = run.id
    unfit = {
        "all images": (TrainConfig.parse({**SETTINGS, "valid_fraction": 0, "select_by": "last"}), many.spec),
        "squares": (TrainConfig.parse({"hidden": "8", "dataset": "squares"}), squares().spec),
        "elsewhere": (TrainConfig.parse({"hidden": "8", "dataset": NAME}), replace(many.spec, digests={"train": "0"})),
    }
    for name, (settings, spec) in unfit.items():
        entity = create_run(client, "e", name)
        with MlflowRun(client, entity, folder / entity.info.run_id) as run:
            run.log_model(SavedNetwork(network(settings, spec), settings, spec), 1, {}, 1_700_000_000_000)
        found.runs[name] = run.id
    found.runs["empty"] = create_run(client, "e", "no model").info.run_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, NAME, lambda folder, progress: many)
        yield found


@pytest.fixture(scope="module")
def made(shelf: Shelf) -> Run:
    """The run of an ensemble of three, with test-time augmentation."""
    return shelf.vote("0", "1", "2", tta=1, campaign="autumn", note="Of the vote.")[0]


def test_it_is_a_run_that_is_linked_with_its_members(shelf: Shelf, made: Run) -> None:
    members = [shelf.client.get_run(shelf.runs[seed]) for seed in "012"]
    assert made.info.status == "FINISHED"
    assert made.data.tags["campaign"] == "autumn"
    assert made.data.tags["mlflow.note.content"].startswith("Of the vote.\n\n")
    assert not any("campaign" in member.data.tags for member in members)  # which are not below it
    assert made.inputs
    assert made.outputs
    assert made.data.params == {"ensemble": "vote", "members": "3", "tta": "1"}
    models = shelf.client.search_logged_models([made.info.experiment_id])
    by_run = {model.source_run_id: model.model_id for model in models}
    assert {given.model_id for given in made.inputs.model_inputs} == {by_run[member.info.run_id] for member in members}
    assert [output.model_id for output in made.outputs.model_outputs] == [by_run[made.info.run_id]]
    assert all(member.data.tags[f"ensemble.in.{made.info.run_id}"] == "vote" for member in members)
    numbers = made.data.metrics
    best = max(numbers[f"member_0{place}/accuracy"] for place in (1, 2, 3))
    assert numbers["ensemble/gain_valid_accuracy"] == pytest.approx(numbers["valid/accuracy"] - best)
    assert 0 < numbers["ensemble/diversity"] < 1
    assert {given.dataset.name: given.tags[0].value for given in made.inputs.dataset_inputs} == {
        f"{NAME}-valid": "valid",
        f"{NAME}-test": "test",
    }
    table = pd.read_csv(shelf.client.download_artifacts(made.info.run_id, "reports/members.csv"))
    assert list(table["run_id"]) == [member.info.run_id for member in members]
    assert list(table["test_accuracy"]) == [member.data.metrics["test/accuracy"] for member in members]
    pictures = {file.path for file in shelf.client.list_artifacts(made.info.run_id, "figures")}
    assert {f"figures/{name}.png" for name in ("members", "confusion_matrix", "misclassified", "samples")} <= pictures
    assert "points over the best member" in made.data.tags["mlflow.note.content"]


def test_what_it_says_is_the_mean_of_what_its_members_say(shelf: Shelf) -> None:
    run, lines = shelf.vote("0", "1", "2")
    uri = str(shelf.client.tracking_uri)
    images = shelf.data.test
    told = [load_model(f"runs:/{shelf.runs[seed]}/model", tracking_uri=uri) for seed in "012"]
    mean = np.mean([np.exp(evaluate(of._network, images)[1].numpy()) for of in told], axis=0)  # type: ignore[arg-type]
    mine = load_model(f"runs:/{run.info.run_id}/model", tracking_uri=uri)
    network = mine._network
    assert np.exp(evaluate(network, images)[1].numpy()) == pytest.approx(mean, abs=1e-6)  # type: ignore[arg-type]
    assert run.data.metrics["test/accuracy"] == pytest.approx((mean.argmax(axis=1) == images.labels).mean())
    again, said = shelf.vote("2", "1", "0")
    assert again.info.run_id == run.info.run_id
    assert said == [line for line in said if line.startswith("this ensemble is there already: ")]
    assert "on 240 images that no member was trained on" in "\n".join(lines)


def test_it_is_one_registered_model_that_passes_the_gate(
    shelf: Shelf, made: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in (shelf.runs["0"], made.info.run_id):
        version = register(shelf.client, run_id)
    assert version.tags["arch"] == "vote of 3 plain"
    assert "vote of 3 plain" in str(version.description)
    first = promote(shelf.client, "1", "champion", shelf.data, name=NAME)
    with pytest.raises(
        ModelError, match=r"fast_enough: .* times the champion's .*; if that is fast enough: --slowdown \d"
    ):
        promote(shelf.client, "2", "champion", shelf.data, name=NAME)  # fifteen answers in the place of one
    verdicts = promote(shelf.client, "2", "champion", shelf.data, name=NAME, slowdown=100)
    told = "\n".join(map(str, [*first, *verdicts]))
    assert "on 240 images" in told  # those that no member, and not the champion, was trained on
    assert "FAILED: 1.0 measured" not in told
    uri, images = str(shelf.client.tracking_uri), shelf.data.test.pixels[:7]
    expected = load_model(f"models:/{NAME}@champion", tracking_uri=uri).predict(images)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    rows = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(images)
    assert [row["kana"] for row in rows] == expected.kana


@pytest.mark.long
def test_it_answers_where_this_package_is_not_installed(shelf: Shelf, made: Run, tmp_path: Path) -> None:
    query = f"source_run_id = '{made.info.run_id}'"
    [logged] = shelf.client.search_logged_models([made.info.experiment_id], query)
    uri = f"runs:/{made.info.run_id}/{logged.name}"
    assert logged.name.startswith("vote-of-3-")
    np.save(tmp_path / "images.npy", shelf.data.test.pixels[:7])
    script = f"""
import sys
sys.modules["kmnist"] = None  # whoever imports it fails
import mlflow.pyfunc, mlflow.pytorch, numpy, torch
images = numpy.load("images.npy")
print(mlflow.pyfunc.load_model({uri!r}).predict(images, params={{"output": "classes"}}).tolist())
print(mlflow.pytorch.load_model({uri!r})(torch.from_numpy(images).float()).argmax(1).tolist())
"""
    store = str(shelf.client.tracking_uri)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment(store),
        cwd=tmp_path,
        timeout=200,
    )
    expected = load_model(uri, tracking_uri=store).predict(shelf.data.test.pixels[:7]).classes.tolist()
    assert done.stdout.splitlines() == [str(expected)] * 2, done.stderr


def test_members_are_chosen_on_validation(shelf: Shelf) -> None:
    run, lines = shelf.vote("0", "1", "2", best=2)
    assert run.data.params["members"] == "2"
    assert any(line.startswith("Chosen from 3 by the loss on 240 images") for line in lines)
    assert any(line.startswith("Left out: ") for line in lines)


def test_members_that_learnt_from_all_images_are_judged_by_the_test_split_alone(shelf: Shelf) -> None:
    with pytest.raises(SettingError, match=r"best=1: each training image was learnt from .* --split-seed"):
        shelf.vote("0", "all images", best=1)
    run, lines = shelf.vote("0", "all images")
    assert not [name for name in run.data.metrics if "valid" in name or name.startswith(("member", "ensemble"))]
    assert 0 < run.data.metrics["test/accuracy"] <= 1
    assert run.inputs
    assert len(run.inputs.model_inputs) == 2
    assert [given.dataset.name for given in run.inputs.dataset_inputs] == [f"{NAME}-test"]
    assert "Each training image was learnt from by a member" in "\n".join(lines)
    assert "Each training image was learnt from by a member" in run.data.tags["mlflow.note.content"]
    pictures = {file.path for file in shelf.client.list_artifacts(run.info.run_id, "figures")}
    assert "figures/samples.png" in pictures
    assert "figures/members.png" not in pictures
    report = Report("e", arrange([collect(shelf.client, of) for of in runs_of_ensemble(shelf.client, run.info.run_id)]))
    assert "What it gains over its members has not been measured." in report_files(report)[MARKDOWN].decode()


@pytest.mark.parametrize(
    ("names", "tta", "kind", "wrong"),
    [
        (["0"], 0, SettingError, "1 are too few; name two at least, or give --tta 1"),
        ([], 1, SettingError, "0 are too few"),
        (["0", "0"], 0, SettingError, "is named twice"),
        (["0", "squares"], 0, SettingError, r"was trained on Squares \(3 classes, .*on the same images"),
        (["0", "elsewhere"], 0, SettingError, "members of one model are trained on the same images"),
        (["elsewhere"], 1, DataError, "are not those of the members"),
        (["0", "empty"], 0, ModelError, "the run has no model 'model'"),
        (["0", "f" * 32], 0, ModelError, "there is no run 'f"),
        (["0", "models:/nobody/1"], 0, ModelError, "there is no registered model 'nobody'"),
        (["0", "ensemble"], 0, SettingError, "is an ensemble itself .vote of 3 plain.; name its members"),
    ],
)
def test_what_cannot_be_one_model_is_refused(
    names: list[str], tta: int, kind: type[KmnistError], wrong: str, shelf: Shelf, made: Run
) -> None:
    shelf.runs["ensemble"] = made.info.run_id
    with pytest.raises(kind, match=wrong):
        shelf.vote(*names, tta=tta)


def test_its_report_tells_of_members_gain_and_diversity(shelf: Shelf, made: Run) -> None:
    runs = runs_of_ensemble(shelf.client, made.info.run_id)
    sources = arrange([collect(shelf.client, run) for run in runs])
    report = Report("an ensemble", sources, datasets={NAME: shelf.data})
    text = report_files(report)[MARKDOWN].decode()
    found = ensemble(report)
    assert found is not None
    letter = next(source.letter for source in sources if source.run.is_ensemble)
    assert found.numbers == {
        letter: {
            "ensemble/gain_valid_accuracy": pytest.approx(made.data.metrics["ensemble/gain_valid_accuracy"]),
            "ensemble/diversity": made.data.metrics["ensemble/diversity"],
        }
    }
    gain = f"{100 * made.data.metrics['ensemble/gain_valid_accuracy']:+.2f} points"
    assert gain in text
    assert f"{letter}, confusion matrix" in text
    assert f"The members of {letter}." in text
    assert "it has no settings and losses of ours" not in text
    with pytest.raises(SettingError, match="that run has no members"):
        runs_of_ensemble(shelf.client, shelf.runs["0"])


@pytest.mark.slow
def test_one_model_that_is_asked_several_times_says_what_its_evaluation_does(shelf: Shelf) -> None:
    run, _ = shelf.vote("0", tta=1)
    saved = fetch_network(f"runs:/{shelf.runs['0']}/model", tracking_uri=str(shelf.client.tracking_uri))
    written = MemoryRun()
    found = evaluate_saved(saved, shelf.data.test, shelf.data.spec, "test", "here", written, tta=1)
    assert (found.accuracy, found.loss) == pytest.approx(
        (run.data.metrics["test/accuracy"], run.data.metrics["test/loss"])
    )
    assert written.params == {"tta": "1"}
    assert "shifted by up to 1 pixels" in written.tags["note"]
    alone = shelf.client.get_run(shelf.runs["0"]).data.metrics["test/loss"]
    assert found.loss != pytest.approx(alone)
