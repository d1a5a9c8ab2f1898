"""``kmnist predict`` as a user types it, with whatever files there are."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.experiment import NullRun, prepare
from tests.commands import Command, environment
from tests.nets import train

pytestmark = pytest.mark.figures


@pytest.fixture(scope="module")
def model(drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkpoint of a small net."""
    folder = tmp_path_factory.mktemp("model")
    config = TrainConfig.parse({"hidden": "16", "epochs": 1, "precision": "fp32"})
    train(config, prepare(config, drawn), NullRun(), folder)
    return str(folder)


@pytest.fixture
def pictures(tmp_path: Path, drawn: Dataset) -> Path:
    """A folder of one good picture under names that want to be more, and of files that are not what they say."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("=1+1.png", "[red]x.png", "a\x1b[31mb\u202e.png", "$\\frac{.png", os.fsdecode(b"\xff.png")):
        Image.fromarray(drawn.test.pixels[0]).save(folder / name)
    return folder


@pytest.mark.slow
def test_a_picture_is_read_from_a_pipe(model: str, drawn: Dataset, tmp_path: Path, store: str) -> None:
    Image.fromarray(drawn.test.pixels[0]).save(tmp_path / "photo.png")
    command = f"'{Path(sys.executable).parent / 'kmnist'}' predict - --format json --model '{model}' < photo.png"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment(store), check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["picture"] == "-"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "predict {}/0/a.png",
        pytest.param("predict {}", marks=pytest.mark.long),
        pytest.param("evaluate --raw", marks=pytest.mark.long),
    ],
)
def test_what_decoders_warn_of_is_said_in_one_way(command: str, model: str, tmp_path: Path, store: str) -> None:
    """Pillow warns of pictures as large as this, and reads them."""
    folder = tmp_path / "large"
    (folder / "0").mkdir(parents=True)
    Image.new("1", (10_000, 10_000)).save(folder / "0" / "a.png")
    Image.fromarray(np.eye(28, dtype=np.uint8)).save(folder / "0" / "b.png")
    words = command.format(folder).split()
    if words[0] == "evaluate":
        words[1:1] = [model, str(folder)]
    else:
        words += ["--model", model]
    done = subprocess.run(
        [sys.executable, "-m", "kmnist", *words], capture_output=True, text=True, env=environment(store), check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert "10000 x 10000 pixels: at most 50,000,000 are read" in done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert done.returncode == 1


@pytest.mark.slow
def test_whoever_has_read_enough_may_close_the_pipe(model: str, drawn: Dataset, tmp_path: Path, store: str) -> None:
    np.save(tmp_path / "many.npy", np.repeat(drawn.test.pixels, 30, axis=0))
    command = f"'{sys.executable}' -m kmnist predict many.npy --format json --model '{model}' | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=tmp_path, env=environment(store), check=False
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_an_unknown_option_is_no_picture(kmnist_command: Command, model: str) -> None:
    done = kmnist_command("predict", "x.png", "--fromat", "json", "--model", model)
    assert done.returncode == 1
    assert "unknown option '--fromat'; did you mean '--format'?" in done.stderr


def test_names_of_pictures_are_shown_as_text(kmnist_command: Command, model: str, pictures: Path) -> None:
    names = sorted(str(path).encode("utf-8", "backslashreplace").decode() for path in pictures.iterdir())
    done = kmnist_command("predict", str(pictures), "--model", model, "--explain", "why.png")
    assert done.returncode == 0, done.stderr
    assert r"a\x1b[31mb\u202e.png" in done.stdout
    assert "[red]x.png" in done.stdout
    assert "\x1b" not in done.stdout

    done = kmnist_command("predict", str(pictures), "--model", model, "--format", "json")
    assert "\u202e" not in done.stdout
    assert sorted(json.loads(line)["picture"] for line in done.stdout.splitlines()) == names

    done = kmnist_command("predict", str(pictures), "--model", model, "--out", "answers.parquet")
    assert done.returncode == 0, done.stderr
    assert sorted(pd.read_parquet("answers.parquet")["picture"]) == names


def test_formulas_in_csv_are_defused(kmnist_command: Command, model: str, drawn: Dataset, tmp_path: Path) -> None:
    Image.fromarray(drawn.test.pixels[0]).save("=cmd.png")
    done = kmnist_command("predict", "=cmd.png", "--model", model, "--format", "csv")
    [row] = csv.DictReader(done.stdout.splitlines())
    assert row["picture"] == "'=cmd.png"
    assert 0 <= float(row["probability"]) <= 1
    assert kmnist_command("predict", "=cmd.png", "--model", model, "--out", "answers.csv").returncode == 0
    assert pd.read_csv("answers.csv")["picture"].tolist() == ["'=cmd.png"]


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--explain", "nowhere/why.png", "cannot be written"),
        ("--explain", ".", "must end in .png"),
        ("--explain", "why.jpg", "must end in .png"),
        ("--explain", "x" * 5_000 + ".png", "cannot be written"),
        ("--out", "nowhere/answers.csv", "cannot be written"),
        ("--out", "answers.txt", "must end in .parquet or .csv"),
        ("--out", "folder.csv", "cannot be written"),
    ],
)
def test_where_nothing_can_be_written_is_told_before_the_work(
    option: str, value: str, rule: str, kmnist_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    done = kmnist_command("predict", "x.png", "--model", "never looked at", option, value)
    assert done.returncode == 1
    assert f"{option} {value[:3]}" in done.stderr
    assert rule in done.stderr
    assert "never looked at" not in done.stderr


def test_one_bad_file_of_a_folder_is_one_row(
    kmnist_command: Command, model: str, drawn: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "a.npz").write_bytes(b"PK\x03\x04 not an archive")
    with zipfile.ZipFile(folder / "b.npz", "w"):
        pass
    (folder / "c.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '''|u1")
    (folder / "d.npy").write_bytes(b"")
    os.mkfifo(folder / "e.png")  # on which one would wait for ever
    np.save(folder / "f.npy", drawn.test.pixels[:2])
    done = kmnist_command("predict", str(folder), "x" * 5_000, "--raw", "--model", model, "--format", "json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(row["picture"]).name[:8] for row in rows] == [
        "a.npz",
        "b.npz",
        "c.npy",
        "d.npy",
        "f.npy[0]",
        "f.npy[1]",
        "x" * 8,
    ]
    assert ["error" in row for row in rows] == [True, True, True, True, False, False, True]
    assert done.returncode == 1
    assert done.stderr.endswith("5 of the pictures could not be read; the answers say why\n")
