"""A report over a real store with runs of all kinds: finished, killed, failed, resumed, foreign, and one "
"without tables."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from axe_core_python.sync_playwright import Axe
from mlflow import MlflowClient
from mlflow.artifacts import list_artifacts
from playwright.sync_api import Browser
from scipy.stats import binomtest

from kmnist.checkpoint import load_checkpoint
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.errors import SettingError
from kmnist.experiment import prepare, results
from kmnist.record import TrackedRun
from kmnist.report import HTML, MARKDOWN, Report, Source, arrange, report_files
from kmnist.report.blocks import Paragraph, literal
from kmnist.report.sections.overfitting import overfitting
from kmnist.report.sections.stagnation import stagnation
from kmnist.report.sections.study import study
from kmnist.report.statistics import Calibration, Interval, Paired, spread
from kmnist.tracking import MlflowRun, create_run, reopen_run
from kmnist.tracking.collect import collect, runs_of_experiment, runs_of_study
from tests.commands import Command
from tests.nets import train

pytestmark = pytest.mark.figures

SETTINGS = {"hidden": "16", "epochs": 3, "batch_size": 64, "precision": "fp32"}
HOSTILE = "<script>alert(1)</script> | **a** [b](javascript:c) `d`"


@dataclass(frozen=True)
class Store:
    """A store with an experiment ``nets``, and the ids of its runs by what became of them."""

    uri: str
    experiment_id: str
    ids: dict[str, str]

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)


class Break(Exception):
    pass


class Tables(MlflowRun):
    """Without what no report reads, and what takes longer than all the rest: pictures and the model."""

    def log_model(self, *of: Any, **named: Any) -> None:
        pass

    def log_image(self, *of: Any, **named: Any) -> None:
        pass


@pytest.fixture(scope="module")
def nets(template_store: Path, tmp_path_factory: pytest.TempPathFactory, drawn: Dataset) -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "FIGURES", {})
        yield build(template_store, tmp_path_factory, drawn)


def build(template_store: Path, tmp_path_factory: pytest.TempPathFactory, drawn: Dataset) -> Store:
    folder = tmp_path_factory.mktemp("nets")
    shutil.copy(template_store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment_id = client.create_experiment("nets", artifact_location=str(folder / "artifacts"))
    ids: dict[str, str] = {}

    def begin(what: str, name: str = "", **changed: object) -> None:
        config = TrainConfig.parse({**SETTINGS, **changed, "dataset": "sample"})
        entity = create_run(client, "nets", name or what)
        ids[what] = entity.info.run_id

        def on_epoch(epoch: Any, best: Any) -> None:
            if epoch.number == 2 and what in ("killed", "resumed"):
                raise KeyboardInterrupt
            if epoch.number == 2 and what == "failed":
                raise Break("the power was cut")

        run = Tables(client, entity, folder / entity.info.run_id)
        try:
            with run:
                run.log_environment()
                train(config, prepare(config, drawn), run, run.folder, on_epoch=on_epoch)
        except (Break, KeyboardInterrupt):
            pass

    begin("first", name=HOSTILE, seed=1)
    begin("second", seed=2)
    begin("without tables", arch="dropout", dropout=0.5, batch_size=32)
    shutil.rmtree(folder / "artifacts" / ids["without tables"] / "artifacts" / "reports")
    for what in ("killed", "failed", "resumed"):
        begin(what)
    entity = reopen_run(client, ids["resumed"])
    checkpoint = load_checkpoint(folder / ids["resumed"])
    with Tables(client, entity, folder / ids["resumed"]) as run:
        train(checkpoint.config, prepare(checkpoint.config, drawn), run, run.folder, resume=checkpoint)
    foreign = client.create_run(experiment_id, run_name="foreign")
    client.log_metric(foreign.info.run_id, "rmse", float("nan"))
    client.log_param(foreign.info.run_id, "arch", "forest")
    client.set_terminated(foreign.info.run_id)
    ids["foreign"] = foreign.info.run_id
    return Store(uri, experiment_id, ids)


def sources_of(nets: Store) -> list[Source]:
    return arrange([collect(nets.client, run) for run in runs_of_experiment(nets.client, "nets")])


@pytest.fixture(scope="module")
def report(nets: Store, drawn: Dataset) -> Report:
    return Report("Experiment nets", sources_of(nets), datasets={"sample": drawn})


@pytest.fixture(scope="module")
def files(report: Report) -> Mapping[str, bytes]:
    return report_files(report)


@pytest.fixture(scope="module")
def page(files: Mapping[str, bytes]) -> str:
    return files[HTML].decode()


def test_it_is_valid_and_small(page: str) -> None:
    html5lib.HTMLParser(strict=True).parse(page)
    assert len(page.encode()) < 2_000_000
    assert "<script>alert" not in page
    assert "javascript:" not in page.replace("(javascript:c)", "")


def test_the_same_runs_give_the_same_bytes(nets: Store) -> None:
    first, second = (report_files(Report("again", sources_of(nets)[:2])) for _ in range(2))
    assert first == second


def test_its_numbers_are_those_of_the_store(page: str, report: Report, nets: Store) -> None:
    begin, end = '<script type="application/json" id="report-numbers">', "</script>"
    numbers = json.loads(page[page.index(begin) + len(begin) : page.rindex(end)])
    for source in report.sources:
        stored = nets.client.get_run(source.run.run_id)
        told = numbers["verdict"][source.letter]
        assert told["status"] == stored.info.status
        expected = {name: value if np.isfinite(value) else None for name, value in stored.data.metrics.items()}
        assert told["metrics"] == expected
        if source.is_ours:
            loss = numbers["training"][source.letter]["train/loss"]
            history = nets.client.get_metric_history(source.run.run_id, "train/loss")
            assert loss == {str(point.step): point.value for point in history}
    for letter, at in numbers["evaluation"].items():
        confusion = np.array(at["confusion"])
        assert np.trace(confusion) / confusion.sum() == numbers["verdict"][letter]["metrics"]["test/accuracy"]
    first, second = (
        source for source in report.sources if source.run.run_id in (nets.ids["first"], nets.ids["second"])
    )
    hits = [of.predictions.hits for of in (first, second) if of.predictions]
    one, other = int((hits[0] & ~hits[1]).sum()), int((hits[1] & ~hits[0]).sum())
    pairs = {tuple(pair["runs"]): pair for pair in numbers["comparison"]["pairs"]}
    assert pairs[first.letter, second.letter]["p"] == binomtest(one, one + other, 0.5).pvalue


def test_what_is_missing_is_named(files: Mapping[str, bytes], report: Report, nets: Store) -> None:
    text = files[MARKDOWN].decode()
    letter = {source.run.run_id: source.letter for source in report.sources}
    lines = text[text.index("## What is missing") :].splitlines()

    def line(words: str) -> list[str]:
        [found] = [line for line in lines if words in line]
        return found.split(" | ")[0].strip("| ").split(", ")

    assert line("KILLED after epoch 2") == [letter[nets.ids["killed"]]]
    assert line("the power was cut") == [letter[nets.ids["failed"]]]
    assert line("reports/predictions.csv cannot be had") == [letter[nets.ids["without tables"]]]
    assert line("no settings and losses of ours") == [letter[nets.ids["foreign"]]]
    assert "over 3 seeds" in text  # 0, which was interrupted, too
    assert literal(HOSTILE) in text
    by_id = {source.run.run_id: source for source in report.sources}
    assert list(by_id[nets.ids["resumed"]].curve("train", "loss")) == [1, 2, 3]


def test_the_settings_that_differ_are_beside_each_other(files: Mapping[str, bytes]) -> None:
    [row] = [line for line in files[MARKDOWN].decode().splitlines() if line.startswith(r"| batch\_size")]
    assert {"64", "32"} == {cell.strip() for cell in row.split("|")[2:-1]}


def test_every_picture_that_the_markdown_names_is_there(files: Mapping[str, bytes]) -> None:
    text = files[MARKDOWN].decode()
    pictures = {name for name in files if name.endswith(".png")}
    assert pictures == {part.split(")")[0] for part in text.split("](")[1:] if part.startswith("figures/")}
    assert {"figures/curves.png", "figures/diagnostics.png", "figures/errors_A.png"} <= pictures
    assert all(files[name].startswith(b"\x89PNG") for name in pictures)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_a_browser_finds_it_whole_and_accessible(
    width: int, scheme: Any, page: str, browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / HTML).write_text(page)
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        tab = context.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text))
        tab.goto((tmp_path / HTML).as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / HTML).as_uri()]
        assert complaints == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 0 && image.alt)")
        assert tab.evaluate("document.fonts.check('16px kana', 'お')")
        found = Axe().run(tab)
        assert [(item["id"], item["nodes"][0]["html"][:200]) for item in found["violations"]] == []


def test_the_command_writes_it_and_logs_it(
    nets: Store, kmnist_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nets.uri)
    chosen = [nets.ids["first"], nets.ids["second"]]
    done = kmnist_command("report", "--runs", ",".join(chosen), "--out", "here")
    assert done.returncode == 0, done.stderr
    assert "here/report.html: 2 runs" in done.stdout
    runs = nets.client.search_runs([nets.experiment_id])
    [logged] = [run for run in runs if run.data.tags.get("kind") == "report"]
    assert set(logged.data.tags["report.sources"].split(",")) == set(chosen)
    assert all(run_id in logged.data.tags["mlflow.note.content"] for run_id in chosen)
    paths = {
        file.path for file in list_artifacts(run_id=logged.info.run_id, artifact_path="report", tracking_uri=nets.uri)
    }
    assert {"report/report.html", "report/report.md", "report/figures"} <= paths
    assert logged.info.run_id not in {run.info.run_id for run in runs_of_experiment(nets.client, "nets")}


def test_what_cannot_be_reported_is_one_line(kmnist_command: Command) -> None:
    for arguments, words in {
        ("--experiment", "none"): "experiment=none: there is none of that name; there are: Default",
        ("--study", "none"): "study=none: no run has tracked one of that name",
        ("--runs", "a" * 32): "run aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa cannot be read",
        ("--runs", "a", "--study", "b"): "give --runs, --experiment, --study or --ensemble",
        ("--experiment", "Default"): "Experiment Default: there is no run in it",
        ("--experiment", "Default", "--out", "/proc/x"): "out=/proc/x: cannot be written",
    }.items():
        done = kmnist_command("report", *arguments)
        assert done.returncode == 1, done
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
    with pytest.raises(SettingError, match="quote"):
        runs_of_study(MlflowClient(), "a' OR '")


def source(train_loss: list[float], layers: str = "", **curves: list[float]) -> Source:
    """A run with these curves, from epoch 1 on."""
    accuracy = [0.9 if loss > 0.001 else 1.0 for loss in train_loss]
    every = {
        "train/loss": train_loss,
        "train/accuracy": accuracy,
        **{k.replace("_", "/", 1): v for k, v in curves.items()},
    }
    params = TrainConfig.parse({}).as_text()
    run = TrackedRun("id", "a run", "FINISHED", params, {"train/loss": train_loss[-1]}, {})
    files = {"reports/diagnostics.csv": layers.encode()} if layers else {}
    return Source(run, "A", curves={k: dict(enumerate(v, 1)) for k, v in every.items()}, files=files)


def words(section: Any) -> str:
    assert section is not None
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))


LAYERS = "epoch,layer,gradient_norm,weight_norm,update_ratio,dead\n9,fc1,{},3,0.1,\n9,fc2,1.0,3,0.1,\n"


def test_the_reason_for_standing_still_is_told_from_what_was_measured() -> None:
    learnt = source(
        [1, 0.1, 1e-5, 0.0],
        diagnostics_gradient_norm=[1, 1, 0.1, 1e-6],
        diagnostics_margin=[1, 9, 20, 30],
        diagnostics_confidence=[0.5, 0.9, 1, 1],
        diagnostics_weight_norm=[5, 6, 7, 8],
        diagnostics_update_ratio=[0.1, 0.1, 0.01, 1e-6],
        diagnostics_dead_relus=[0, 0.1, 0.2, 0.2],
    )
    told = words(stagnation(Report("", [learnt])))
    assert "below 0.001 from epoch 3 on" in told
    assert "**Nothing is left to learn.**" in told
    assert "they stand still by now" in told
    stuck = [2.3] * 9
    vanishing = source(stuck, LAYERS.format(1e-9), diagnostics_gradient_norm=stuck, diagnostics_weight_norm=stuck)
    assert "**they vanish on their way**" in words(stagnation(Report("", [vanishing])))
    slow = source(stuck, LAYERS.format(0.5), diagnostics_gradient_norm=stuck, diagnostics_weight_norm=stuck,
                  diagnostics_update_ratio=[1e-6] * 9, diagnostics_dead_relus=[0.9] * 9)  # fmt: skip
    told = words(stagnation(Report("", [slow])))
    assert "they do not vanish" in told
    assert "the rate is too low" in told
    assert "most units are lost" in told
    assert "No run's training loss stood still" in words(stagnation(Report("", [source([1, 0.5, 0.4])])))
    assert "not diagnosed" in words(stagnation(Report("", [source(stuck)])))


def test_where_the_validation_loss_turned_and_what_later_training_cost() -> None:
    run = source([1, 0.5, 0.1, 0.05], valid_loss=[0.9, 0.6, 0.7, 0.9], valid_accuracy=[0.7, 0.84, 0.85, 0.8])
    told = words(overfitting(Report("", [run])))
    assert "**turned in epoch 2** and rose by 0.3 nats until epoch 4" in told
    assert "accuracy was best in epoch 3, and what was trained after that cost 5.00 points" in told
    assert "10.0 points better than others: **it overfits.**" in told


def test_a_study_is_told_from_its_tables() -> None:
    header = "trial,state,value,best_so_far,best_epoch,epochs,seconds,started,ended,run_id,reason,hidden"
    trials = f"{header}\n0,COMPLETE,0.9,0.9,3,3,1,,,a,,16\n1,PRUNED,0.5,0.9,1,1,1,,,b,pruned,8\n"
    tables = {
        "trials.csv": trials,
        "confirmation.csv": "run_id,test_accuracy\na,0.9\nb,0.92\n",
        "best.yaml": "hidden: 16\n",
    }
    run = TrackedRun("id", "a study", "FINISHED", {}, {}, {})
    of = Source(run, "study", files={f"reports/{name}": text.encode() for name, text in tables.items()})
    told = words(study(Report("", [], of)))
    assert "tried 2 settings (1 complete, 1 pruned), 4 epochs in all, by valid/accuracy" in told
    assert "trained again with 2 other seeds: 91.00 ± 1.41 % of the test images" in told
    assert "has left no table" in words(study(Report("", [], Source(run, "study"))))


def test_the_statistics() -> None:
    interval = Interval.of(90, 100)  # by hand: Wilson's formula
    z = 1.959963984540054
    centre, half = (
        (0.9 + z * z / 200) / (1 + z * z / 100),
        z * (0.9 * 0.1 / 100 + z * z / 40000) ** 0.5 / (1 + z * z / 100),
    )
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half))
    same = np.ones(5, bool)
    assert Paired.of(same, same).p == 1
    assert spread([0.9, 0.92]) == "91.00 ± 1.41 %"
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actual = np.array([rng.choice(4, p=row) for row in shares])
    sharper = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    honest, boastful = Calibration.of(shares, actual), Calibration.of(sharper, actual)
    assert honest.temperature == pytest.approx(1, abs=0.05)
    assert boastful.temperature == pytest.approx(3, rel=0.1)
    assert boastful.error > 0.1
    assert max(honest.error, boastful.mended) < 0.02
