"""Whether an exported model gives the same classes and probabilities in every runtime that reads ONNX.

    python -m experiments.benchmarks.runtimes plain=runs:/ID/model cnn=runs:/ID/model --installed runtimes

Each runtime runs in a process of its own, and is installed by hand into a folder of its own name:

    pip install --no-deps --target runtimes/openvino openvino openvino-telemetry
    pip install --no-deps --target runtimes/opencv4 'opencv-python-headless==4.*'
    pip install --no-deps --target runtimes/opencv5 'opencv-python-headless==5.*'
    pip install --no-deps --target runtimes/onnx2torch onnx2torch
    npm install --ignore-scripts --prefix runtimes/onnxruntime-node onnxruntime-node
    npm install --prefix runtimes/onnxruntime-web onnxruntime-web

``onnxruntime`` is the one of this environment. A row says "same" where every class is, and every probability differs by
at most 1e-4; else by how much, or what the runtime said.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts
import numpy as np
import numpy.typing as npt

from kmnist.data.sample import draw_dataset
from kmnist.inference import Classifier
from kmnist.registry import fetch_network
from kmnist.registry.export import export_onnx

SAME = 1e-4
HERE = Path(__file__).parent
#: Those of Python, with the function of answer.py; those of npm have the name of their package.
PYTHON = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "opencv4": "opencv",
    "opencv5": "opencv",
    "onnx2torch": "onnx2torch",
}
NODE = ("onnxruntime-node", "onnxruntime-web")
SECONDS = 300

app = cyclopts.App(help=__doc__, help_format="plaintext")


@dataclass(frozen=True)
class Task:
    """What a runtime is asked.

    Attributes:
        folder: for files.
        pixels: float32 (N, H, W).
        expected: probabilities, (N, C).
        models: the exported files: for any number of pictures, and for one.
    """

    folder: Path
    pixels: npt.NDArray[np.float32]
    expected: npt.NDArray[np.float32]
    models: tuple[Path, Path]


@app.default
def main(*models: str, installed: Path = Path("runtimes"), pictures: int = 64, opset: int | None = None) -> None:
    """Print a table.

    Parameters
    ----------
    models
        each as NAME=MODEL
    installed
        folder of the runtimes
    pictures
        to be answered for, of the drawn sample
    opset
        version of ONNX's operators [default: PyTorch's choice]
    """
    named = dict(model.split("=", 1) for model in models)
    print(f"| runtime | {' | '.join(f'{name}, any number | one' for name in named)} |")
    print("| --- |" + " --- | --- |" * len(named))
    with TemporaryDirectory() as folder:
        tasks = []
        for name, uri in named.items():
            (Path(folder) / name).mkdir()
            tasks.append(_task(uri, Path(folder) / name, pictures, opset))
        for runtime in (*PYTHON, *NODE):
            cells, version = [], ""
            for task in tasks:
                for at_once, model in zip((0, 1), task.models):
                    version, cell = _ask(runtime, installed / runtime, task, model, at_once)
                    cells.append(cell)
            print(f"| {runtime} {version} | {' | '.join(cells)} |", flush=True)


def _task(uri: str, folder: Path, pictures: int, opset: int | None) -> Task:
    saved = fetch_network(uri)
    pixels = draw_dataset(train=10, test=pictures).test.pixels.astype(np.float32)
    expected = Classifier(saved.network, saved.spec, uri, saved.calibration).predict(pixels).probabilities
    files = (folder / "any.onnx", folder / "one.onnx")
    export_onnx(saved, files[0], opset=opset)
    export_onnx(saved, files[1], opset=opset, batch=1)
    np.save(folder / "pixels.npy", pixels)
    pixels.tofile(folder / "pixels.f32")
    return Task(folder, pixels, expected, files)


def _ask(runtime: str, installed: Path, task: Task, model: Path, at_once: int) -> tuple[str, str]:
    """Its version, and what became of its answers."""
    if runtime != "onnxruntime" and not installed.is_dir():
        return "", "not installed"
    answers = task.folder / "answers"
    if runtime in NODE:
        shape = [str(side) for side in task.pixels.shape[1:]]
        answers = answers.with_suffix(".f32")
        command = ["node", str(HERE / "answer.mjs"), runtime, str(model), str(task.folder / "pixels.f32"), str(answers)]
        command += [str(at_once), *shape]
        place, environment = installed, dict(os.environ)
    else:
        answers = answers.with_suffix(".npy")
        command = [sys.executable, str(HERE / "answer.py"), PYTHON[runtime], str(model)]
        command += [str(task.folder / "pixels.npy"), str(answers), str(at_once)]
        place, environment = task.folder, {**os.environ, "PYTHONPATH": str(installed.resolve())}
    answers.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=SECONDS)
    version = (done.stdout.splitlines() or [""])[0]
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"status {done.returncode}"
        said = next((line for line in reversed(lines) if "rror" in line), f"its process ends with {how}")
        return version, f"no: {said[:100]}".replace("|", "/")
    found = np.fromfile(answers, np.float32) if runtime in NODE else np.load(answers)
    return version, _compared(found.reshape(-1, task.expected.shape[1]), task.expected)


def _compared(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> str:
    if found.shape != expected.shape:
        return f"no: answers of shape {found.shape}"
    differ = float(np.abs(np.exp(found) - expected).max())
    others = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
    return "same" if differ <= SAME and not others else f"no: {others} other classes, probabilities by {differ:.2g}"


if __name__ == "__main__":
    app()
