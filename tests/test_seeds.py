"""``kmnist train --seeds N``: real commands and trainings on the sample set."""

import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kmnist import record
from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.tuning.confirm import following, seeds_study
from kmnist.tuning.definition import parse
from kmnist.tuning.storage import open_storage
from kmnist.tuning.study import load_study
from tests.commands import Command, environment
from tests.test_study import DATA
from tests.test_tune import curve, runs_of, wait_until

SMALL = ["--dataset", "sample", "--precision", "fp32", "--hidden", "64,32", "--epochs", "3", "--threads", "1"]


@pytest.mark.long
@pytest.mark.timeout(500)
def test_seeds_are_runs_below_one_and_a_killed_command_goes_on(
    store: str, tmp_path: Path, kmnist_command: Command
) -> None:
    arguments = ["train", *SMALL, "--seed", "7", "--seeds", "3"]
    command = [sys.executable, "-m", "kmnist", *arguments, "--workers", "2"]
    killed = subprocess.Popen(command, cwd=tmp_path, env=environment(store), start_new_session=True)

    def done() -> int:
        client = MlflowClient(store)
        runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        return sum(run.info.status == "FINISHED" for run in runs)

    try:
        wait_until(lambda: done() >= 1, seconds=200)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    again = subprocess.run(command, cwd=tmp_path, env=environment(store), capture_output=True, text=True, timeout=400)
    assert again.returncode == 0, again.stderr
    parent, begun = runs_of(store)
    # A run may just have been made, and have no folder yet, when its command is killed.
    children = [run for run in begun if run.info.status != "KILLED"]
    lost = {run.data.tags["end_reason"] for run in begun if run not in children}
    assert lost <= {"its process died; begun again elsewhere"}
    assert sorted(run.data.params["seed"] for run in children) == ["7", "8", "9"]
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    assert all([step for step, _ in curve(store, run)] == [1, 2, 3] for run in children)
    accuracies = [run.data.metrics["test/accuracy"] for run in children]
    assert parent.data.metrics["seeds/test_accuracy_mean"] == pytest.approx(statistics.mean(accuracies))
    assert parent.data.metrics["seeds/test_accuracy_std"] == pytest.approx(statistics.stdev(accuracies))
    assert f"3 seeds: test accuracy {statistics.mean(accuracies):.2%}" in again.stdout
    best = max(children, key=lambda run: float(run.data.tags["trial.value"]))
    assert float(best.data.tags["trial.value"]) == max(float(run.data.tags["trial.value"]) for run in children)
    assert "best/valid_accuracy" in best.data.metrics
    client = MlflowClient(store)
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "figures")] == ["figures/seeds.png"]
    assert "`kmnist train --arch plain" in parent.data.tags["mlflow.note.content"]

    # A seed of many is the same training as one alone.
    alone = kmnist_command("train", *SMALL, "--seed", "8", "--experiment-name", "alone", "--quiet")
    assert alone.returncode == 0, alone.stderr
    [experiment] = client.search_experiments(filter_string="name = 'alone'")
    [run] = client.search_runs([experiment.experiment_id])
    [twin] = [run for run in children if run.data.params["seed"] == "8"]
    assert run.data.metrics["test/accuracy"] == twin.data.metrics["test/accuracy"]
    assert curve(store, run, "train/loss") == curve(store, twin, "train/loss")


def test_seeds_follow_that_of_the_settings_and_are_compared_on_validation(tmp_path: Path) -> None:
    assert following(2**32 - 1, range(2)) == [2**32 - 1, 0]
    storage = open_storage(str(tmp_path / "s.log"))
    config = TrainConfig.parse({"seed": 3, "select_by": "valid_loss", "epochs": 2})
    study = seeds_study(storage, "s", config, following(config.seed, range(2)), DATA)
    assert study.definition.config({"seed": 4}) == TrainConfig.parse({**config.as_text(), "seed": 4})
    assert study.budget.trials == 2


@pytest.mark.long
def test_seeds_that_learn_from_all_images_are_compared_by_nothing(
    store: str, tmp_path: Path, kmnist_command: Command
) -> None:
    storage = open_storage(str(tmp_path / "s.log"))
    config = TrainConfig.parse({"select_by": "last", "valid_fraction": 0, "epochs": 2})
    seeds_study(storage, "all", config, [1, 2], DATA)
    study = load_study(storage, "all")  # as another process reads it
    assert study.definition.config({"seed": 4}) == TrainConfig.parse({**config.as_text(), "seed": 4})
    with pytest.raises(SettingError, match="metric=train/loss: settings are chosen on validation"):
        parse({"metric": "train/loss", "epochs": 2})
    last = ["--select-by", "last", "--valid-fraction", "0", "--seeds", "2"]
    done = kmnist_command("train", *SMALL, *last, "--quiet", "--tag", "campaign=autumn", "--note", "Of the seeds.")
    assert done.returncode == 0, done.stderr
    parent, children = runs_of(store)
    assert len(children) == 2
    assert {run.data.params["select_by"] for run in children} == {"last"}
    assert {run.data.tags.get("campaign") for run in (parent, *children)} == {"autumn"}
    assert ["note" in run.data.tags for run in (parent, *children)] == [True, False, False]
    assert record.REPLACED_WORKERS not in parent.data.tags
    assert "2 seeds: test accuracy" in done.stdout
    assert "on validation" not in done.stdout
    assert record.OFFERED_RUN not in parent.data.tags
    losses = [run.data.metrics["train/loss"] for run in children]
    assert parent.data.metrics["seeds/train_mean"] == pytest.approx(statistics.mean(losses))


def test_what_is_of_no_use_is_refused(kmnist_command: Command) -> None:
    for arguments, message in [
        (["--workers", "2"], "kmnist: workers: of no use to one training; add --seeds, or leave it away"),
        (["--seeds", "2", "--resume", "abc"], "kmnist: seeds=2: is not for --resume"),
        (["--seeds", "2", "--num-gpus", "1"], "kmnist: num_gpus: of no use to engine=local; add --engine ray"),
    ]:
        done = kmnist_command("train", *SMALL, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(message), done.stderr
