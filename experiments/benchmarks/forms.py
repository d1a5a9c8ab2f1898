"""How long a data set of your own takes to read for training, and in how much memory, beside bare reading and decoding.

python -m experiments.benchmarks.forms --pictures 60000 --rounds 3
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from kmnist.data import load_dataset
from kmnist.data.sample import draw_dataset

app = cyclopts.App(help=__doc__, help_format="plaintext")
BARE_PROCESSES = 2
CLASSES = 10


@app.default
def main(*, pictures: int = 60_000, rounds: int = 3) -> None:
    """Print seconds, the ratio to the bare work, and memory as a multiple of the pixels.

    Parameters
    ----------
    pictures
        28 x 28 gray pictures, as PNGs in folders, as parquet and as .npz
    rounds
        how often each is measured, in turn; the medians count
    """
    with TemporaryDirectory() as place:
        made = make(Path(place), pictures)
        for form, path in made.items():
            ours, bare, memory = [], [], []
            for _ in range(rounds):
                bare.append(alone("bare", form, path)["seconds"])
                found = alone("read", form, path)
                ours.append(found["seconds"])
                memory.append(found["bytes"] / (pictures * 28 * 28))
            seconds, at_least = statistics.median(ours), statistics.median(bare)
            print(
                f"{form}: {seconds:.2f} s, bare {at_least:.2f} s, ratio {seconds / at_least:.2f}; "
                f"memory {statistics.median(memory):.2f} times the pixels"
            )


@app.command
def read(form: str, path: Path) -> None:
    """Read as a training does; print seconds and bytes as JSON. For :func:`main`."""
    warm_up(path.parent)
    before = resident("VmRSS")
    began = time.perf_counter()
    load_dataset(str(path), path)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "bytes": resident("VmHWM") - before}))


@app.command
def bare(form: str, path: Path) -> None:
    """Read as one would by hand; print seconds as JSON. For :func:`main`."""
    work: dict[str, Callable[[Path], object]] = {"folder": bare_folder, "parquet": bare_parquet, "npz": bare_npz}
    began = time.perf_counter()
    work[form](path)
    print(json.dumps({"seconds": time.perf_counter() - began}))


def alone(what: str, form: str, path: Path) -> dict[str, float]:
    """One of the commands above in a fresh process."""
    command = [sys.executable, "-m", "experiments.benchmarks.forms", what, form, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def make(folder: Path, count: int) -> dict[str, Path]:
    """The same pictures in each form; a few, which are read first, so that no import is measured."""
    drawn = draw_dataset(train=1_000, test=10).train
    pixels = np.resize(drawn.pixels, (count, 28, 28))
    labels = np.arange(count) % CLASSES
    contents = [png(image) for image in drawn.pixels]
    for place in range(count):
        path = folder / "folder" / str(labels[place]) / f"{place:06}.png"
        if place < CLASSES:
            path.parent.mkdir(parents=True)
        path.write_bytes(contents[place % len(contents)])
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pictures = [{"bytes": contents[place % len(contents)], "path": None} for place in range(count)]
    table = pa.table({"image": pa.array(pictures, kind), "label": pa.array(labels)})
    parquet.write_table(table, folder / "set.parquet", row_group_size=1_000)
    np.savez_compressed(
        folder / "set.npz", x_train=pixels, y_train=labels, x_test=pixels[:1_000], y_test=labels[:1_000]
    )
    parquet.write_table(table.slice(0, 100), folder / "few.parquet")
    np.savez_compressed(folder / "few.npz", x=pixels[:100], y=labels[:100])
    return {"folder": folder / "folder", "parquet": folder / "set.parquet", "npz": folder / "set.npz"}


def warm_up(folder: Path) -> None:
    """Import what is imported late."""
    for name in ("few.parquet", "few.npz"):
        load_dataset(str(folder / name), folder)


def bare_folder(path: Path) -> None:
    """Pillow and numpy, in two processes."""
    files = sorted(path.rglob("*.png"))
    with ProcessPoolExecutor(BARE_PROCESSES) as pool:
        list(pool.map(decode_files, [files[at::BARE_PROCESSES] for at in range(BARE_PROCESSES)]))


def decode_files(files: list[Path]) -> int:
    """How many were decoded."""
    for file in files:
        with Image.open(file) as image:
            np.asarray(image)
    return len(files)


def bare_parquet(path: Path) -> None:
    """pyarrow, Pillow and numpy."""
    for row in parquet.read_table(path).column("image").to_pylist():
        with Image.open(BytesIO(row["bytes"])) as image:
            np.asarray(image)


def bare_npz(path: Path) -> None:
    """numpy."""
    with np.load(path) as arrays:
        for name in arrays.files:
            arrays[name]


def png(pixels: np.ndarray) -> bytes:
    """As a file."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def resident(name: str) -> int:
    """Bytes of memory of this process: now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


if __name__ == "__main__":
    app()
