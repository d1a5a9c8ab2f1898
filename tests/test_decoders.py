"""Processes that read pictures: in order, and with an end, whatever a picture does to its decoder."""

import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from kmnist.data import Dataset
from kmnist.data.kmnist import SPEC
from kmnist.errors import PictureError
from kmnist.pictures.skipped import Skipped
from kmnist.prediction import workers
from kmnist.prediction.decoding import Prepared, in_batches, prepare
from kmnist.prediction.picture import Picture
from kmnist.prediction.sources import find_pictures
from kmnist.prediction.workers import AHEAD, FEW, Decoders
from tests.commands import environment
from tests.hostile_contents import Crashing, Hanging
from tests.registered import saved
from tests.test_pictures import encoded

__all__ = ["saved"]  # a fixture
MANY = 3_000
#: Put into a folder that Python begins with, it makes Pillow hang over some files, and crash over others.
SPOILT_PILLOW = """\
import ctypes
import PIL.Image

def spoilt(content, open=PIL.Image.open, **options):
    if content.getvalue().endswith(b"hang"):
        while True:
            pass
    if content.getvalue().endswith(b"crash"):
        ctypes.string_at(0)
    return open(content, **options)

PIL.Image.open = spoilt
"""


@pytest.fixture(scope="module")
def many(drawn: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, of which every 1,000th is damaged."""
    folder = tmp_path_factory.mktemp("many")
    contents = [encoded(Image.fromarray(image)) for image in drawn.test.pixels[:20]]
    for number in range(MANY):
        content = contents[number % len(contents)]
        (folder / f"{number:05}.png").write_bytes(content[:60] if number % 1_000 == 999 else content)
    return folder


def joined(parts: list[Prepared]) -> tuple[list[str], list[str], list[bytes]]:
    """Names, errors, and pixels of each picture."""
    return (
        [name for part in parts for name in part.names],
        [error for part in parts for error in part.errors],
        [image.tobytes() for part in parts for image in part.images],
    )


def pictures_of(folder: Path) -> Iterator[Picture]:
    return find_pictures([str(folder)], BytesIO(), Skipped())


@pytest.mark.slow
def test_processes_read_what_one_reads_in_order_and_not_far_ahead(many: Path) -> None:
    taken = 0

    def pictures() -> Iterator[Picture]:
        nonlocal taken
        for picture in pictures_of(many):
            taken += 1
            yield picture

    with Decoders(in_batches(pictures()), 2) as decoders:
        children = psutil.Process().children(recursive=True)
        parts = []
        for part in decoders.prepared(SPEC, False):
            parts.append(part)
            assert taken <= 256 * (len(parts) + max(FEW, 2 * AHEAD))
    assert joined(parts) == joined([prepare(batch, SPEC, False) for batch in in_batches(pictures())])
    assert children
    assert len(decoders.children) == 2
    assert not any(child.is_alive() for child in decoders.children)


@pytest.mark.slow
def test_one_picture_needs_no_process_and_few_need_one(many: Path) -> None:
    pictures = list(pictures_of(many))
    for count, processes in ((0, 0), (1, 0), (2, 1), (600, 1)):
        with Decoders(in_batches(pictures[:count]), 2) as decoders:
            assert len(decoders.children) == processes
            assert joined(list(decoders.prepared(SPEC, False)))[0] == [picture.name for picture in pictures[:count]]


@pytest.mark.slow
def test_processes_that_are_killed_from_outside_cost_no_picture(many: Path) -> None:
    with Decoders(in_batches(pictures_of(many)), 2) as decoders:
        parts = []
        for part in decoders.prepared(SPEC, False):
            parts.append(part)
            for child in decoders.children if len(parts) in (1, 4, 8) else ():
                child.kill()
    assert joined(parts) == joined([prepare(batch, SPEC, False) for batch in in_batches(pictures_of(many))])


@pytest.mark.slow
def test_a_picture_that_crashes_or_hangs_its_decoder_is_an_error_in_its_row(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PROCESSOR_SECONDS", 1.0)
    pictures = list(pictures_of(many))[:600]
    expected = joined([prepare(batch, SPEC, False) for batch in in_batches(pictures)])
    spoilt: dict[int, tuple[bytes, str]] = {
        3: (Crashing(b"x"), "decoding it ended the process (SIGSEGV)"),
        4: (Hanging(b"x"), "decoding it took more than 1 s of the processor"),
        255: (Crashing(b"x"), "decoding it ended the process (SIGSEGV)"),
        256: (Hanging(b"x"), "decoding it took more than 1 s of the processor"),
        599: (Crashing(b"x"), "decoding it ended the process (SIGSEGV)"),
    }
    for place, (item, error) in spoilt.items():
        pictures[place] = Picture(pictures[place].name, item)
        expected[1][place] = error
        expected[2][place] = bytes(28 * 28)
    with Decoders(in_batches(pictures), 2) as decoders:
        assert joined(list(decoders.prepared(SPEC, False))) == expected


@pytest.mark.slow
def test_a_file_that_does_not_answer_is_an_error_in_its_row(
    drawn: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CLOCK_SECONDS", 3.0)
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it, and to open it takes for ever
    pictures = [Picture(str(number), image) for number, image in enumerate(drawn.test.pixels[:3])]
    pictures[1] = Picture("1", str(tmp_path / "pipe"))
    with Decoders(in_batches(pictures), 2) as decoders:
        [found] = decoders.prepared(SPEC, True)
    assert found.errors == ["", "decoding it had no end after 3 s", ""]
    assert np.array_equal(found.images[::2], drawn.test.pixels[:3:2])


@pytest.mark.slow
def test_an_error_of_ours_is_raised_here(many: Path) -> None:
    pictures = [*list(pictures_of(many))[:2], Picture("a", np.zeros((2, 2, 2, 2), np.float64))]
    with Decoders(in_batches(pictures), 2) as decoders, pytest.raises(Exception, match=r"shape|dimension|unpack"):
        list(decoders.prepared(SPEC, False))


@pytest.mark.slow
def test_processes_that_cannot_begin_are_told(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Decoders(in_batches(list(pictures_of(many))[:600]), 2) as decoders:
        for worker in decoders._workers:
            worker.process.kill()
            monkeypatch.setattr(worker, "_start", lambda: None)
        with pytest.raises(PictureError, match=r"end before they begin: each ended the process \(SIGKILL\)"):
            list(decoders.prepared(SPEC, False))


@pytest.mark.long
def test_a_folder_with_such_pictures_is_answered(many: Path, saved: Path, tmp_path: Path, store: str) -> None:
    folder, place = tmp_path / "pictures", tmp_path / "python"
    folder.mkdir()
    place.mkdir()
    (place / "sitecustomize.py").write_text(SPOILT_PILLOW)
    content = encoded(Image.fromarray(np.eye(70, dtype=np.uint8) * 255))
    for name, end in {"a": b"", "b": b"hang", "c": b"crash", "d": b"", "e": b"crash", "f": b""}.items():
        (folder / f"{name}.png").write_bytes(content + end)
    settings = environment(store)
    settings["PYTHONPATH"] = os.pathsep.join([str(place), settings.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "kmnist", "predict", str(folder), "--model", str(saved), "--format", "csv"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=240, check=False)
    answers = pd.read_csv(BytesIO(done.stdout.encode()), keep_default_na=False)
    assert [Path(name).stem for name in answers["picture"]] == list("abcdef")
    assert [error[:24] for error in answers["error"]] == [
        *("", "decoding it took more th", "decoding it ended the pr", "", "decoding it ended the pr", "")
    ]
    assert (done.returncode, done.stderr) == (1, "kmnist: 3 of the pictures could not be read; the answers say why\n")
