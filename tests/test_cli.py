"""The commands as a user types them."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kmnist import record
from kmnist.checkpoint import load_checkpoint, save_checkpoint
from kmnist.cli.main import app
from kmnist.config import TrainConfig
from kmnist.experiment import NullRun, prepare, train
from kmnist.training.compute import Compute
from tests.commands import Command, environment
from tests.nets import drawn_images, on_valid

SMALL = ["--dataset", "sample", "--hidden", "32", "--precision", "fp32"]


def only_run(store: str) -> Run:
    client = MlflowClient(store)
    [run] = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return run


@pytest.mark.slow
def test_train(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kmnist", "train", *SMALL, "--epochs", "2", "--learning-rate", "1e-3"]
    command += ["--tag", "campaign=autumn", "--tag", "my.kind=a=b", "--note", "Tried **wider** layers."]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(store))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no warning of any library
    lines = done.stdout.splitlines()
    assert lines[0].startswith("NOT KMNIST")
    assert lines[-1].startswith("NOT KMNIST")
    run = only_run(store)
    assert f"mlflow ui --backend-store-uri {store}" in done.stdout
    assert run.info.run_id in done.stdout
    assert run.info.status == "FINISHED"
    assert run.info.experiment_id == "0"  # as that of `mlflow run`
    assert f"/runs/{run.info.run_id}?workflowType=machine_learning" in done.stdout
    assert run.info.run_name == "SAMPLE plain 32 adam 0.001 b128 e2 s0"
    assert run.data.params["learning_rate"] == "0.001"
    assert f"{run.data.metrics['test/accuracy']:.2%}" in done.stdout
    assert run.data.tags["version.torch"]
    assert {key for key in run.data.tags if not record.is_own_tag(key)} == {"campaign", "my.kind"}
    assert (run.data.tags["campaign"], run.data.tags["my.kind"]) == ("autumn", "a=b")
    assert run.data.tags["mlflow.note.content"].startswith("Tried **wider** layers.\n\n> **Trained on the drawn")
    assert list((tmp_path / "runs").iterdir()) == []  # nothing is left behind


def test_quiet_prints_results_only_and_a_file_can_be_overridden(
    kmnist_command: Command, store: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text("arch: dropout\nhidden: [16, 8]\nepochs: 9\nlearning_rate: 1e-2\n")
    done = kmnist_command("train", *SMALL[:2], "--experiment", "mine.yaml", "--epochs", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "NOT KMNIST",
        "best epoch 1",
        "to look at it",
        "NOT KMNIST",
    ]
    run = only_run(store)
    expected = TrainConfig.parse(
        {"arch": "dropout", "hidden": "16,8", "epochs": 1, "learning_rate": 0.01, "dataset": "sample"}
    )
    assert run.data.params == expected.as_text()
    assert str(run.info.run_name).startswith("SAMPLE mine: dropout 16-8 p0.5")


@contextmanager
def training(store: str, folder: Path, *settings: str) -> Iterator[subprocess.Popen[str]]:
    """A training in a process of its own, four epochs in or more: it does not tell of each."""
    command = [sys.executable, "-m", "kmnist", "train", *SMALL, *settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment(store)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (told := re.match(r"epoch (\d+)/", line)) and int(told[1]) >= 4:
                break
        yield process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "status"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long), (signal.SIGINT, 130)]
)
def test_an_interrupted_run_is_KILLED_and_keeps_every_whole_epoch(
    sent: signal.Signals, status: int, store: str, tmp_path: Path
) -> None:
    with training(store, tmp_path, "--epochs", "400") as process:
        process.send_signal(sent)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == status
    run = only_run(store)
    assert run.info.status == "KILLED"
    assert f"kmnist train --resume {run.info.run_id}" in rest
    steps = [point.step for point in MlflowClient(store).get_metric_history(run.info.run_id, "valid/loss")]
    kept = load_checkpoint(tmp_path / "runs" / run.info.run_id).epochs
    assert steps == [epoch.number for epoch in kept]
    assert 4 <= len(steps) < 400


@pytest.mark.slow
def test_killed_at_once_and_resumed_is_uninterrupted(store: str, kmnist_command: Command, tmp_path: Path) -> None:
    settings = ["--arch", "dropout", "--epochs", "12", "--batch-size", "64", "--threads", "1"]
    with training(store, tmp_path, *settings) as process:
        process.kill()
    run_id = only_run(store).info.run_id
    other = kmnist_command("train", "--resume", run_id, "--epochs", "5")
    assert other.returncode == 1
    assert "epochs is 12, not 5" in other.stderr
    resumed = kmnist_command("train", "--resume", run_id)
    assert resumed.returncode == 0, resumed.stderr
    run = only_run(store)
    assert run.info.status == "FINISHED"

    config = TrainConfig.parse(run.data.params)
    data = drawn_images()
    expected = train(config, prepare(config, data), data.test, NullRun(), tmp_path / "uninterrupted", threads=1)
    client = MlflowClient(store)
    for key, values in {
        "train/loss": [epoch.train.loss for epoch in expected.epochs],
        "valid/accuracy": [on_valid(epoch).accuracy for epoch in expected.epochs],
        "learning_rate": [epoch.learning_rate for epoch in expected.epochs],
        "test/loss": [expected.test.loss],
        "test_last/loss": [expected.test_last.loss],
        "best_epoch": [expected.best.number],
    }.items():
        assert [point.value for point in client.get_metric_history(run_id, key)] == values, key
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == list(range(1, 13))
    again = kmnist_command("train", "--resume", run_id)
    assert again.returncode == 1
    assert "A finished run keeps none" in again.stderr


@pytest.mark.slow
def test_a_resumed_run_computes_as_before_or_as_is_said(store: str, kmnist_command: Command, tmp_path: Path) -> None:
    with training(store, tmp_path, "--epochs", "100", "--threads", "1") as process:
        process.kill()
    run_id = only_run(store).info.run_id
    folder = tmp_path / "runs" / run_id
    on_gpu = Compute("cuda:9", "fp32", 2)
    save_checkpoint(replace(load_checkpoint(folder), compute=on_gpu), folder)
    gone = kmnist_command("train", "--resume", run_id)
    assert gone.returncode == 1
    assert f"run {run_id} computed on cuda:9, which cannot be used on this machine; with --device cpu" in gone.stderr
    resumed = kmnist_command("train", "--resume", run_id, "--device", "cpu", "--threads", "1")
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on with device cpu, not cuda:9, threads 1, not 2: the last digits" in resumed.stdout
    tags = only_run(store).data.tags
    assert (tags["device"], tags["threads"]) == ("cpu", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archh", "plain"], "Did you mean --arch?"),
        (["--lr", "0.1"], "Unknown option: --lr. Did you mean --learning-rate?"),
        (["--experiment", "lr.yaml"], "unknown setting 'lr'; did you mean 'learning_rate'?"),
        (["--arch", "plan"], "did you mean 'plain'?"),
        (["--experiment", "none.yaml"], "none.yaml cannot be read"),
        (["--data-dir", "/dev/null/data"], "data folder /dev/null/data cannot be written"),
        (["--work-dir", "/dev/null/runs"], "work folder /dev/null/runs cannot be written"),
        (["--tracking-uri", "http://127.0.0.1:9"], "http://127.0.0.1:9 cannot be used"),
        (["--resume", "nothing"], "no checkpoint of run nothing in runs"),
        (["--device", "cuda:9"], "device=cuda:9: cannot be used on this machine"),
        (["--tag", "git.commit=1"], "git.commit is written by kmnist or MLflow; take another, like my.git.commit"),
        (["--tag", "nothing"], "tag=nothing: must be KEY=VALUE"),
        (["--note", "x" * 3000], "has 3,000 characters; at most 2,000"),
        (["--dataset", "sample", "--batch-size", "9999"], "batch_size=9999: must be at most the 3,600 training"),
    ],
)
def test_bad_input_is_one_clear_error_and_leaves_no_run(
    arguments: list[str], message: str, kmnist_command: Command, store: str, tmp_path: Path
) -> None:
    (tmp_path / "lr.yaml").write_text("lr: 0.1\n")
    before = {path.name for path in tmp_path.iterdir()}
    done = kmnist_command("train", *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    client = MlflowClient(store)
    assert not client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert {path.name for path in tmp_path.iterdir()} - before <= {"runs"}


def test_a_failing_training_is_FAILED_with_its_traceback(kmnist_command: Command, store: str) -> None:
    done = kmnist_command("train", *SMALL, "--optimizer", "sgd", "--learning-rate", "100")
    assert done.returncode == 1
    assert re.search(r"training loss of epoch \d is (nan|inf); lower learning_rate=100", done.stderr)
    assert "Traceback" not in done.stderr
    run = only_run(store)
    assert run.info.status == "FAILED"
    assert run.data.tags["end_reason"].startswith("TrainingDiverged")
    assert "traceback.txt" in [file.path for file in MlflowClient(store).list_artifacts(run.info.run_id)]


@pytest.mark.slow
def test_nothing_heavy_is_imported_for_help() -> None:
    """A slow start is made of imports; a clock would only measure the machine."""
    code = """
import sys
from kmnist.cli import app
try:
    app(["--help"])
finally:
    print("loaded:", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, loaded = done.stdout.partition("loaded:")
    assert "train" in help_text
    assert not set(loaded.split()) & {"torch", "mlflow", "pandas", "matplotlib", "sklearn", "numpy", "pydantic"}


def test_every_option_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "sync"):
        with pytest.raises(SystemExit):
            app([command, "--help"])
        text = capsys.readouterr().out
        for line in text.splitlines():
            if match := re.match(r"│ (--[a-z-]+)( [A-Z]+)?\s+│$", line):
                pytest.fail(f"kmnist {command} {match[1]} has no help")


@pytest.mark.slow
def test_a_terminal_gets_a_bar(store: str, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "kmnist", "train", *SMALL, "--epochs", "3"]
    with subprocess.Popen(command, stdout=theirs, cwd=tmp_path, env={**environment(store), "TERM": "xterm"}) as process:
        os.close(theirs)
        shown = b""
        while process.poll() is None:  # what is not read fills the terminal, and holds up the command
            shown += _read(ours)
        shown += _read(ours)
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "━" in text
    assert re.search(r"epoch 3 of 3.*drawing and saving", text)
    assert re.search(r"best epoch \d: valid accuracy", text)


def _read(terminal: int) -> bytes:
    """All that a terminal shows within a moment; its program may leave others that hold it open."""
    shown = b""
    with suppress(OSError):  # its program has ended
        while select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    return shown


def test_sync_with_nothing_to_do(kmnist_command: Command) -> None:
    done = kmnist_command("sync")
    assert done.returncode == 0
    assert done.stdout == "nothing is waiting in runs\n"
