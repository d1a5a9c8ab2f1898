"""Random damage to files and random command lines, from a fixed seed: a message or a result, never a traceback."""

import gzip
import random
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kmnist.checkpoint import FILE_NAME, load_checkpoint
from kmnist.cli.main import app
from kmnist.cli.options import given_settings
from kmnist.config import TrainConfig
from kmnist.data import Dataset
from kmnist.data.idx import idx_bytes
from kmnist.errors import KmnistError
from kmnist.tuning.definition import parse
from kmnist.tuning.overview import overview
from kmnist.tuning.storage import open_storage
from tests.commands import Command
from tests.reading import read
from tests.test_hostile_files import good_checkpoint, study_file
from tests.test_pictures import encoded

__all__ = ["good_checkpoint"]  # a fixture

FILES = 2_000
SECONDS = 5  # of the processor
SETTINGS = """\
arch: dropout
hidden: [64, 32]
epochs: 5
learning_rate: 1e-3
search:
  batch_size: [64, 128]
  weight_decay: {low: 1e-6, high: 0.1, log: true}
"""
PARTS = [
    *(b"\0", b"\xff" * 4, b"\n", b"\x1b[2J", "\u202e".encode(), b"PK\x03\x04", b"\x80\x04"),
    *(b"-1", b"1e999", b"9" * 5_000, b"NaN", b"null", b"true"),
    *(b"[", b"]", b"{", b"}", b'"', b"'", b":", b",", b"&a ", b"*a", b"!!", b"../"),
]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """With some bytes changed, cut out, repeated, or replaced by what means something in one format or another."""
    damage = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        first = chance.randrange(len(damage) + 1)
        last = min(first + chance.choice((1, 1, 4, 30)), len(damage))
        match chance.randrange(5):
            case 0:
                damage[first:last] = chance.randbytes(last - first)
            case 1:
                del damage[first:last]
            case 2:
                damage[first:first] = damage[first:last] * chance.choice((1, 100))
            case 3:
                damage[first:last] = chance.choice(PARTS)
            case _:
                del damage[first if chance.random() < 0.2 else len(damage) :]
    return bytes(damage)


@pytest.fixture
def read_by_kind(
    drawn: Dataset, good_checkpoint: Path, tmp_path: Path
) -> dict[str, tuple[bytes, Callable[[Path], object]]]:
    """File name -> a good file's content, and what reads such files."""
    images = drawn.test.pixels[:5]
    photo = Image.fromarray(images[0]).resize((60, 50)).convert("RGB")
    npz, npy = BytesIO(), BytesIO()
    np.savez_compressed(npz, images=images)
    np.save(npy, images)
    study_file(tmp_path / "good.log")

    def predict(path: Path) -> object:
        return list(read(path))

    def list_studies(path: Path) -> object:
        return overview(open_storage(str(path)))

    def read_settings(path: Path) -> object:
        given = given_settings([], path)
        TrainConfig.parse({name: value for name, value in given.items() if name != "search"})
        return parse(given)

    return {
        "a.png": (encoded(photo.convert("RGBA"), pnginfo=None), predict),
        "a.jpg": (encoded(photo, "JPEG", progressive=True), predict),
        "a.webp": (encoded(photo, "WEBP"), predict),
        "a.npy": (npy.getvalue(), predict),
        "a.npz": (npz.getvalue(), predict),
        "a-idx3-ubyte": (idx_bytes(images), predict),
        "a-idx3-ubyte.gz": (gzip.compress(idx_bytes(images), mtime=0), predict),
        FILE_NAME: ((good_checkpoint / FILE_NAME).read_bytes(), lambda path: load_checkpoint(path.parent)),
        "studies.log": ((tmp_path / "good.log").read_bytes(), list_studies),
        "settings.yaml": (SETTINGS.encode(), read_settings),
    }


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_files_are_read_or_told(
    read_by_kind: dict[str, tuple[bytes, Callable[[Path], object]]], tmp_path: Path
) -> None:
    chance = random.Random(20_260)
    for number in range(FILES):
        name = list(read_by_kind)[number % len(read_by_kind)]
        content, read = read_by_kind[name]
        if name == FILE_NAME and number % 3:  # the header is a hundredth of it, and has all the sense
            content = damaged(content[:6_000], chance) + content[6_000:]
        else:
            content = damaged(content, chance)
        path = tmp_path / name
        path.write_bytes(content)
        began = time.process_time()
        try:
            read(path)
        except KmnistError:
            pass
        except Exception as error:
            (tmp_path / f"{number}-{name}").write_bytes(content)
            error.add_note(f"file {number} of the seed: {tmp_path}/{number}-{name}")
            raise
        assert time.process_time() - began < SECONDS, (number, name)


WORDS = [
    *("", " ", "-", "--", "0", "-1", "1", "9" * 5_000, "1e999", "nan", "0x10", "1.5", "true", "None", "cpu", "cuda:9"),
    *("plain", "adam", "sgd", "a,b", "512,256", "json", "out.csv", "out.parquet", "studies.log", "つ", "=1+1", "*"),
    *("../../x", "/etc/passwd", "/dev/null", "/dev/null/x", ".", "x" * 5_000, "$(x)", "%s", "{}"),
    *("[/bold]", "\x1b[2J", "\u202e", "\udcff", "hostile.png", "hostile.yaml", "hostile.npz"),
    *("http://127.0.0.1:9", "http://me:s3cret@127.0.0.1:9/#", "nonsense://x", "sqlite:////dev/null/x.db"),
    *("models:/kmnist@champion", "models:/", "models:/kmnist/99999999999999999999", "runs:/x/model", "runs:/../.."),
]
#: Given last, they let a command end before it would train, fetch, serve or wait.
ENDS = {
    "train": ["--data-dir", "/dev/null/x", "--dataset", "kmnist"],
    "tune": ["--data-dir", "/dev/null/x", "--dataset", "kmnist"],
    "promote": ["--data-dir", "/dev/null/x"],
    "demo": ["--model", "nowhere", "--host", "127.0.0.1", "--port", "0"],
    "predict": [], "studies": [], "register": [], "rollback": [], "models": [], "sync": [], "reap": [],
    "runs export": [], "runs import": [], "runs prune": [],
}  # fmt: skip


def options_of(command: str) -> list[str]:
    found = app
    for word in command.split():
        found = found[word]
    return [name for argument in found.assemble_argument_collection() for name in argument.names if name[:2] == "--"]


def command_line(chance: random.Random) -> list[str]:
    command = chance.choice(list(ENDS))
    options = [*options_of(command), "--help", "--nothing", "-x"]
    line = command.split()
    for _ in range(chance.choice((0, 1, 2, 4))):
        if chance.random() < 0.7:
            option, value = chance.choice(options), chance.choice(WORDS)
            line += [f"{option}={value}"] if chance.random() < 0.3 else [option, value]
        else:
            line.append(chance.choice(WORDS))
    return line + ENDS[command]


@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.long)])
def test_random_command_lines_end_with_a_message(
    count: int, kmnist_command: Command, good_checkpoint: Path, drawn: Dataset
) -> None:
    Path("hostile.yaml").write_text("epochs: !!int x\n")
    Path("hostile.png").write_bytes(encoded(Image.fromarray(drawn.test.pixels[0]))[:60])
    Path("hostile.npz").write_bytes(b"PK\x03\x04")
    WORDS.append(str(good_checkpoint))
    for command in ENDS:  # imports, which take their time once
        kmnist_command(
            *command.split(),
            *ENDS[command],
            *(["x.png", "--model", str(good_checkpoint)] if command == "predict" else []),
        )
    chance = random.Random(20_261)
    for number in range(count):
        line = command_line(chance)
        began = time.process_time()
        try:
            done = kmnist_command(*line)
        except BaseException as error:
            error.add_note(f"command {number} of the seed: {line!r:.2000}")
            raise
        assert done.returncode in (0, 1, 2, 3), line
        assert "Traceback" not in done.stdout + done.stderr, line
        assert not {"\x1b", "\u202e", "\x9b"} & set(done.stdout + done.stderr), line
        assert "s3cret" not in done.stdout + done.stderr, line
        assert time.process_time() - began < SECONDS, line
