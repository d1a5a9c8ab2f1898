"""``kmnist ensemble bag|boost|stack``: real commands and trainings on the sample set."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.jobs.course import identity
from kmnist.jobs.ensemble_kinds import Plan
from kmnist.tuning.claims import Claim, claim
from kmnist.tuning.confirm import following, seeds_study
from kmnist.tuning.liveness import Liveness
from kmnist.tuning.space import suggest
from kmnist.tuning.storage import open_storage
from tests.commands import Command, environment
from tests.nets import drawn_images
from tests.test_tune import curve, runs_of, wait_until

SETTINGS = {"dataset": "sample", "precision": "fp32", "hidden": "16", "epochs": "3"}
FLAGS = [part for name, text in SETTINGS.items() for part in (f"--{name}", text)]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_killed_boosting_goes_on_and_comes_to_the_same(store: str, tmp_path: Path) -> None:
    arguments = [*FLAGS, "--seed", "1", "--members", "3", "--threads", "1"]
    command = [sys.executable, "-m", "kmnist", "ensemble", "boost", *arguments]

    def run(folder: Path, address: str) -> Run:
        done = subprocess.run(
            command, cwd=folder, env=environment(address), capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr
        assert "boost of 3 plain: test accuracy" in done.stdout
        return runs_of(address)[0]

    def second_has_begun() -> bool:
        found = MlflowClient(store).search_experiments(filter_string="name = 'Default'")
        runs = MlflowClient(store).search_runs([found[0].experiment_id]) if found else []
        members = [run for run in runs if run.data.tags.get("kind") == "trial"]
        return len(members) == 2 and any("train/loss" in r.data.metrics and r.info.status == "RUNNING" for r in members)

    killed = subprocess.Popen(command, cwd=tmp_path, env=environment(store), start_new_session=True)
    try:
        wait_until(lambda: second_has_begun() or killed.poll() is not None, seconds=300)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    resumed = run(tmp_path, store)
    (tmp_path / "whole").mkdir()
    whole = run(tmp_path / "whole", f"sqlite:///{tmp_path / 'whole' / 'mlflow.db'}")
    names = ("valid/accuracy", "valid/loss", "test/accuracy", "test/loss", "ensemble/diversity", "member_03/loss")
    assert [resumed.data.metrics[name] for name in names] == [whole.data.metrics[name] for name in names]
    assert resumed.info.status == "FINISHED"
    _, members = runs_of(store)
    assert [run.data.params["seed"] for run in members] == ["1", "2", "3"]
    assert all([step for step, _ in curve(store, member)] == [1, 2, 3] for member in members)


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_member_that_failed_is_left_out_and_said(store: str, tmp_path: Path, kmnist_command: Command) -> None:
    plan = Plan("bag", (TrainConfig.parse(SETTINGS),), 3)
    data = drawn_images()
    name = plan.study_name(0, data, store)
    config = plan.config(0, "bootstrap")
    study = seeds_study(
        open_storage(str(tmp_path / "studies.log")), name, config, following(0, range(3)), identity(data)
    )
    taken = claim(study, "session", "worker", Liveness())
    assert isinstance(taken, Claim)
    seed = suggest(taken.trial, study.definition).seed
    taken.end(None, TrialState.FAIL, "no memory")
    done = kmnist_command("ensemble", "bag", *FLAGS, "--members", "3", "--workers", "2", "--tag", "campaign=autumn")
    assert done.returncode == 0, done.stderr
    assert f"Left out: seed {seed}, subset bootstrap: no memory." in done.stdout
    assert "bag of 2 plain" in done.stdout
    parent, members = runs_of(store)
    assert {run.data.tags.get("campaign") for run in (parent, *members)} == {"autumn"}
    assert {run.data.params["subset"] for run in members} == {"bootstrap"}
    assert {run.data.params["split_seed"] for run in members} == {"0"}
    assert "no memory" in parent.data.tags["mlflow.note.content"]
    assert (parent.data.tags["kind"], parent.data.params["epochs"]) == ("ensemble", "3")


@pytest.mark.long
@pytest.mark.timeout(500)
def test_a_stack_of_two_kinds_of_nets(store: str, tmp_path: Path, kmnist_command: Command) -> None:
    for name, hidden in (("one", 16), ("other", 32)):
        (tmp_path / f"{name}.yaml").write_text(f"arch: plain\nhidden: [{hidden}]\nseed: {hidden}\n")
    files = ["--experiment", "one.yaml", "other.yaml"]
    flags = ["--dataset", "sample", "--precision", "fp32", "--epochs", "2", "--workers", "2"]
    about = ["--tag", "campaign=autumn", "--note", "Of the stack."]
    done = kmnist_command("ensemble", "stack", *flags, *files, "--members", "1", "--folds", "2", "--tta", "1", *about)
    assert done.returncode == 0, done.stderr
    parent, trained = runs_of(store)
    assert {run.data.tags.get("campaign") for run in (parent, *trained)} == {"autumn"}
    assert parent.data.tags["mlflow.note.content"].startswith("Of the stack.\n\n")
    assert parent.info.status == "FINISHED"
    assert sorted((run.data.params["hidden"], run.data.params["subset"]) for run in trained) == [
        (hidden, subset) for hidden in ("16", "32") for subset in ("all", "not-1/2", "not-2/2")
    ]
    members = parent.data.tags["ensemble.members"].split(",")
    assert sorted(run.info.run_id for run in trained if run.data.params["subset"] == "all") == sorted(members)
    assert parent.data.params == {"ensemble": "stack", "members": "1", "tta": "1", "folds": "2"}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"members": 1}, "members=1: makes 1 members; an ensemble has 2 to 24"),
        ({"members": 25}, "members=25: makes 25 members"),
        (
            {"configs": ({"subset": "bootstrap"},)},
            "subset: which images a member learns from follows from the ensemble",
        ),
        ({"configs": ({}, {"dataset": "sample"})}, "dataset, valid_fraction, .*: must be the same for all members"),
        ({"configs": ({}, {"hidden": "8"}), "kind": "boost"}, "boosting goes on with one network; 2 were given"),
    ],
)
def test_plans_that_make_no_ensemble_are_refused(given: dict[str, object], wrong: str) -> None:
    settings: object = given.pop("configs", ({},))
    assert isinstance(settings, tuple)
    configs = tuple(TrainConfig.parse(of) for of in settings)
    with pytest.raises(SettingError, match=wrong):
        Plan(**{"kind": "bag", "configs": configs, "members": 3, **given})  # type: ignore[arg-type]
