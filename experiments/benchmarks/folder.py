"""How fast ``kmnist predict`` answers a folder of PNGs, and in how much memory, beside bare reading and decoding.

python -m experiments.benchmarks.folder --pictures 200000 --rounds 3
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import numpy as np
from PIL import Image
from pyarrow import parquet

from kmnist.config import TrainConfig
from kmnist.cores import available_cores
from kmnist.data.kmnist import SPEC
from kmnist.data.sample import TEST_IMAGES, draw_dataset
from kmnist.models.build import build
from kmnist.network import SavedNetwork
from kmnist.pictures.small_png import read_small_png
from kmnist.tracking.model import save_model

app = cyclopts.App(help=__doc__, help_format="plaintext")
DIFFERENT = TEST_IMAGES  # pictures; the others are links to them
TENTH = 10


@app.default
def main(*, arch: str = "plain", pictures: int = 200_000, workers: int = available_cores(), rounds: int = 3) -> None:
    """Print pictures a second, the most memory of a process, and the ratio to the bare work.

    Parameters
    ----------
    arch
        architecture, with its default widths and random weights
    pictures
        28 x 28 gray PNGs of drawn kana; a tenth of them is answered, too, for what a command costs by itself
    workers
        processes that read pictures
    rounds
        how often each is measured, in turn; the medians count
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        config = TrainConfig.parse({"arch": arch})
        save_model(SavedNetwork(build(config.net, SPEC).eval(), config, SPEC), folder / "model")
        few, many = folder / "few", folder / "many"
        make(many, pictures, few, pictures // TENTH)
        seconds: list[tuple[float, float, float]] = []
        memory: list[tuple[float, float]] = []
        for number in range(rounds):
            answered = [predict(folder, where, workers, number) for where in (few, many)]
            bare = decode(few) * TENTH
            seconds.append((answered[0][0], answered[1][0], bare))
            memory.append((answered[0][1], answered[1][1]))
        first, all_of_them, bare = (statistics.median(each) for each in zip(*seconds))
        one = (all_of_them - first) / (pictures - pictures // TENTH)  # seconds
        print(f"decoder: {'OpenCV for small gray PNGs' if fast() else 'Pillow'}; {workers} processes; {arch}")
        print(f"{pictures:,} pictures in {all_of_them:.1f} s, {pictures // TENTH:,} in {first:.1f} s")
        print(f"each further one {one * 1e6:.0f} us: {1 / one:,.0f} a second")
        print(f"bare reading and decoding with Pillow, one process: {bare / pictures * 1e6:.0f} us a picture")
        print(f"ratio of the seconds to those of {workers} such processes: {one * pictures / (bare / workers):.2f}")
        print(f"most memory of the command: {memory[-1][0]:,.0f} MB for few, {memory[-1][1]:,.0f} MB for all")


def make(many: Path, count: int, few: Path, few_count: int) -> None:
    """Files of pictures, a thousand to a folder."""
    contents = list(drawn())
    for root, number in ((many, count), (few, few_count)):
        for place in range(number):
            folder = root / f"{place // 1_000:04}"
            if place % 1_000 == 0:
                folder.mkdir(parents=True)
            path = folder / f"{place:07}.png"
            original = many / f"{place % DIFFERENT // 1_000:04}" / f"{place % DIFFERENT:07}.png"
            if path == original:
                path.write_bytes(contents[place % len(contents)])
            else:
                os.link(original, path)


def drawn() -> Iterator[bytes]:
    """Drawn kana as PNGs."""
    for image in draw_dataset().test.pixels:
        content = BytesIO()
        Image.fromarray(image).save(content, "PNG")
        yield content.getvalue()


def predict(folder: Path, pictures: Path, workers: int, number: int) -> tuple[float, float]:
    """Seconds of the command, and MB of its own process at most."""
    out = folder / f"{pictures.name}-{number}.parquet"
    command = [sys.executable, "-m", "kmnist", "predict", str(pictures), "--model", str(folder / "model")]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--out", str(out), "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    names = parquet.read_table(out, columns=["picture"])["picture"].to_pylist()
    assert all(before < after for before, after in pairwise(names)), "the rows are not in order"
    assert len(names) == sum(len(files) for _, _, files in os.walk(pictures))
    return seconds, usage.ru_maxrss / 1024


def decode(folder: Path) -> float:
    """Seconds to read and decode all of it as one would: Pillow, numpy."""
    began = time.perf_counter()
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            np.asarray(image)
    return time.perf_counter() - began


def fast() -> bool:
    """Whether OpenCV is there."""
    content = BytesIO()
    Image.new("L", (28, 28)).save(content, "PNG")
    return read_small_png(content.getvalue()) is not None


if __name__ == "__main__":
    app()
