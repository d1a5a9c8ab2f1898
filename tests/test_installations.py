"""Every command on every installation: it works, or names the extra that it needs. None ends in a traceback."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from PIL import Image, ImageDraw

from kmnist.cli.main import app
from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.network import SavedNetwork
from kmnist.tracking import MlflowRun, connect, create_run
from kmnist.tracking.archive import export_runs
from kmnist.tracking.journal import Journal
from tests.installations import make_installation, run_python
from tests.nets import network
from tests.test_extras import EXTRAS

#: Command lines with what is made for them below; in this order, for some need what earlier ones have made.
#: Servers, which would never end, are given a model that is not there; studies, which would take long, a storage.
COMMANDS = """
    models
    register {run}
    promote 1 --force
    rollback
    predict a.png --model {model}
    predict a.png --model {model} --out answers.csv
    predict a.png --model {model} --explain why.png
    evaluate {model} sample --quiet
    export net.onnx --model {model}
    demo --model nowhere
    serve --model nowhere
    train --dataset sample --hidden 8 --epochs 1 --quiet
    tune --dataset sample --storage /proc/none/studies.log
    studies
    ensemble vote {run}
    ensemble bag --dataset sample --storage /proc/none/studies.log
    ensemble boost --dataset sample --storage /proc/none/studies.log
    ensemble stack --dataset sample --storage /proc/none/studies.log
    report --runs {run}
    runs export out.zip {run}
    runs import carried.zip --experiment-name other
    runs list
    runs prune --yes
    sync --show
    sync
    reap
    mlproject
"""
#: What a plain installation can do.
PLAIN = {"models", "predict", "runs export", "runs import", "runs list", "runs prune", "sync", "reap", "mlproject"}
EACH = """
import io, json, sys, traceback
from contextlib import redirect_stderr, redirect_stdout

from kmnist.cli.main import main

for command in json.loads(sys.argv[1]):
    sys.argv = ["kmnist", *command.split()]
    told, status = io.StringIO(), 0
    with redirect_stdout(io.StringIO()), redirect_stderr(told):
        try:
            main()
        except SystemExit as ended:
            status = ended.code
        except BaseException:
            status = traceback.format_exc()
    print(json.dumps([command, status, told.getvalue()]), flush=True)
"""


def names(of: App, before: str = "") -> Iterator[str]:
    """The names of all commands that a person can type."""
    for name in of:
        if not name.startswith("-"):
            below = list(names(of[name], f"{before}{name} "))
            yield from below or [f"{before}{name}"]


@pytest.fixture
def place(template_store: Path, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path | str]:
    """A folder with a finished run, one that has not been sent whole, an export, a model and a picture."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(template_store, tmp_path / "mlflow.db")
    shutil.copytree(saved, tmp_path / "model")
    picture = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(picture).line((20, 20, 70, 80), fill=0, width=8)
    picture.save(tmp_path / "a.png")
    config = TrainConfig.parse({"hidden": "8"})
    client = connect(f"sqlite:///{tmp_path}/mlflow.db")
    entity = create_run(client, "kmnist", "a run")
    with MlflowRun(client, entity, tmp_path / "runs" / entity.info.run_id) as run:
        run.log_params(config.as_text())
        run.log_metrics({"valid/loss": 0.5}, 1)
        run.log_model(SavedNetwork(network(config), config, SPEC), 1, {"valid/loss": 0.5}, 1_700_000_000_000)
        run.log_file(b"a table", "tables/a.csv")
    list(export_runs(client, [run.id], tmp_path / "carried.zip"))
    unsent = create_run(client, "kmnist", "not sent").info.run_id
    journal = Journal(tmp_path / "runs" / unsent)
    journal.append({"op": "metrics", "metrics": {"valid/loss": 0.5}, "step": 1, "timestamp_ms": 1_700_000_000_000})
    journal.append({"op": "status", "status": "FINISHED", "timestamp_ms": 1_700_000_000_000})
    journal.close()
    return {"run": run.id, "model": tmp_path / "model"}


def run_all(extras: list[str], place: dict[str, Path | str], tmp_path: Path) -> list[tuple[str, Any, str]]:
    """How each command ended on an installation, and what it said about it."""
    installation = make_installation(tmp_path / "site", extras)
    commands = [line.strip().format(**place) for line in COMMANDS.strip().splitlines()]
    done = run_python(installation, tmp_path, "-c", EACH, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def with_all_below(extra: str) -> set[str]:
    """The extras that come with one."""
    below = {name for text in EXTRAS[extra] for name in re.findall(r"kmnist\[([a-z,]+)\]", text)}
    return {extra, *(deeper for text in below for name in text.split(",") for deeper in with_all_below(name))}


def check(ended: list[tuple[str, Any, str]], installed: set[str]) -> None:
    for command, status, told in ended:
        assert status in (0, 1), (command, status, told)
        assert "Traceback" not in told, (command, told)
        if missing := re.search(r"pip install 'kmnist\[([a-z]+)\]'", told):
            assert missing[1] not in installed, (command, told)


def test_every_command_is_tried() -> None:
    tried = [line.strip() for line in COMMANDS.strip().splitlines()]
    assert [name for name in names(app) if not any(line.startswith(name) for line in tried)] == []


@pytest.mark.slow
def test_a_plain_installation_does_what_it_can_and_names_the_extra_for_the_rest(
    place: dict[str, Path | str], tmp_path: Path
) -> None:
    ended = run_all([], place, tmp_path)
    check(ended, set())
    for command, status, told in ended:
        if any(command.startswith(name) for name in PLAIN) and "--out" not in command and "--explain" not in command:
            assert status == 0, (command, told)
        elif command.startswith(
            ("register", "rollback")
        ):  # they are refused: the run has no data set, the alias no past
            assert "pip install" not in told, (command, told)
        else:
            assert "pip install 'kmnist[" in told, (command, told)


@pytest.mark.long
@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_every_command_works_or_names_another_extra(extra: str, place: dict[str, Path | str], tmp_path: Path) -> None:
    check(run_all([extra], place, tmp_path), with_all_below(extra))
