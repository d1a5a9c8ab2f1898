"""A network in a format that runs without PyTorch."""

import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kmnist.durable import replace_file
from kmnist.errors import ModelError, in_one_line
from kmnist.extras import require
from kmnist.network import SavedNetwork

INPUT, OUTPUT = "pixels", "log_probabilities"
SAME = 1e-4  # what the file's probabilities may differ by from the network's


def export_onnx(saved: SavedNetwork, path: Path, *, opset: int | None = None, batch: int | None = None) -> None:
    """Write an ONNX file: ``pixels``, float32 (N, H, W), 0..255 -> ``log_probabilities``, float32 (N, C), calibrated.

    The temperature is in the graph, so that the probabilities are those of ``kmnist predict``. All else that makes an
    answer is in the file's metadata, as JSON:

    - ``classes``: a list of ``{"text": ..., "glyph": ...}``, in the order of the output;
    - ``calibration``: ``unsure_below`` and ``grey``, by which an answer is unsure, and ``temperature`` 1: what is left
      to be divided by;
    - ``temperature``: the one in the graph;
    - ``preparation``: what the pixels must look like;
    - ``data``: the data set.

    Before the file is written, ONNX's own reference runs it, and its probabilities are compared with the network's.

    Args:
        saved: the network.
        path: of the file.
        opset: version of ONNX's operators; ``None``: PyTorch's choice.
        batch: number of pictures that the file takes at once, always; ``None``: any number.

    Raises:
        MissingExtra: the packages for it are not installed.
        ModelError: the network cannot be written so, the file answers otherwise, or it cannot be written.
    """
    require("onnx", "export to ONNX")
    import onnx

    network = _calibrated(saved)
    model = _convert(network, torch.zeros(batch or 2, *saved.spec.shape), opset, batch)
    onnx.helper.set_model_props(model, _metadata(saved))
    onnx.checker.check_model(model)
    _compare(network, model, (batch or 3, *saved.spec.shape))
    try:
        replace_file(path, model.SerializeToString())
    except OSError as error:
        raise ModelError(f"{path} cannot be written ({error})") from error


class _Calibrated(nn.Module):
    """A network whose log-probabilities are divided by its temperature, and normalised again."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.log_softmax(self.network(pixels) / self.temperature, dim=1)


def _calibrated(saved: SavedNetwork) -> nn.Module:
    temperature = saved.calibration.temperature
    return saved.network if temperature == 1 else _Calibrated(saved.network, temperature).eval()


def _convert(network: nn.Module, pixels: Tensor, opset: int | None, batch: int | None) -> Any:
    """The network as ONNX.

    Raises:
        ModelError: it cannot be written with these operators.
    """
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they could not do is told by the error below
    # Of one picture, the number would be fixed, and so it would be of two without a name for it.
    any_number = ({0: torch.export.Dim("pictures")},) if batch is None else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's about its own parts
            program = torch.onnx.export(
                network,
                (pixels,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=any_number,
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # in any of torch's ways
        raise ModelError(f"the network cannot be written as ONNX ({in_one_line(error)[:300]})") from error
    assert program is not None
    model = program.model_proto
    [written] = [used.version for used in model.opset_import if used.domain in ("", "ai.onnx")]
    if opset is not None and written != opset:  # torch goes on with another
        raise ModelError(f"--opset {opset}: this network's operators need {written} or more")
    return model


def _metadata(saved: SavedNetwork) -> dict[str, str]:
    spec, (height, width) = saved.spec, saved.spec.shape
    about = {
        "data": spec.to_json(),
        "classes": [{"text": label.text, "glyph": label.glyph} for label in spec.classes],
        "calibration": replace(saved.calibration, temperature=1.0).to_json(),
        "temperature": saved.calibration.temperature,
        "preparation": {
            "height": height,
            "width": width,
            "values": [0, 255],
            "form": str(spec.form),  # its values are in "data"
            "function": "kmnist.inference.prepare_picture",
        },
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in about.items()}


def _compare(network: nn.Module, model: Any, shape: tuple[int, ...]) -> None:
    """See that the file answers as the network does.

    Raises:
        ModelError: it does not.
    """
    from onnx.reference import ReferenceEvaluator

    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).exp().numpy()
    with np.errstate(all="ignore"):  # it takes the logarithm of what is rounded to zero
        [answer] = ReferenceEvaluator(model).run([OUTPUT], {INPUT: pixels})
    found = np.asarray(answer)
    if found.shape != expected.shape or not (difference := np.abs(np.exp(found) - expected).max()) <= SAME:
        raise ModelError(
            f"the file answers otherwise than the network (probabilities differ by {difference:.2g}), so it is not "
            "written; try another --opset"
        )
