"""One runtime's answers, in a process of its own: python answer.py RUNTIME MODEL.onnx PIXELS.npy ANSWERS.npy AT_ONCE

Its first line is the runtime's version. ``AT_ONCE`` pictures are given at once, 0 is all of them.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Answer = Callable[[Array], Any]


def onnxruntime(model: str) -> tuple[str, Answer]:
    """Microsoft's."""
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    return ort.__version__, lambda pixels: session.run(["log_probabilities"], {"pixels": pixels})[0]


def openvino(model: str) -> tuple[str, Answer]:
    """Intel's."""
    import openvino as ov

    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ov.__version__, lambda pixels: compiled([pixels])[0]


def opencv(model: str) -> tuple[str, Answer]:
    """OpenCV's module for networks."""
    import cv2

    net = cv2.dnn.readNetFromONNX(model)

    def answer(pixels: Array) -> Any:
        net.setInput(pixels, "pixels")
        return net.forward("log_probabilities")

    return cv2.__version__, answer


def onnx2torch(model: str) -> tuple[str, Answer]:
    """Back to PyTorch."""
    from importlib.metadata import version

    import torch

    from kmnist.models.torchvision_cpu import torchvision_module

    torchvision_module("ops")  # beside a torch without CUDA it cannot be imported before this
    import onnx2torch as converter

    network = converter.convert(model).eval()

    def answer(pixels: Array) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(pixels)).numpy()

    return version("onnx2torch"), answer


def main(runtime: str, model: str, pixels: str, answers: str, at_once: str) -> None:
    """Answer, and write the answers."""
    version, answer = {f.__name__: f for f in (onnxruntime, openvino, opencv, onnx2torch)}[runtime](model)
    print(version, flush=True)
    given = np.load(pixels)  # (N, H, W)
    size = int(at_once) or len(given)
    parts = [answer(given[first : first + size]) for first in range(0, len(given), size)]
    np.save(answers, np.concatenate(parts).astype(np.float32))


if __name__ == "__main__":
    main(*sys.argv[1:])
