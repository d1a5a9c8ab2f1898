"""A network in a format that runs without PyTorch."""

import json
import logging
import warnings
from pathlib import Path

import torch

from kmnist.durable import replace_file
from kmnist.errors import ModelError
from kmnist.extras import require
from kmnist.network import SavedNetwork

INPUT, OUTPUT = "pixels", "log_probabilities"


def export_onnx(saved: SavedNetwork, path: Path) -> None:
    """Write an ONNX file: ``pixels``, float32 (N, H, W), 0..255 -> ``log_probabilities``, float32 (N, C).

    Its metadata has the data set, with what the classes are, as JSON under ``data``.

    Args:
        saved: the network.
        path: of the file.

    Raises:
        MissingExtra: the packages for it are not installed.
        ModelError: the file cannot be written.
    """
    require("onnx", "export to ONNX")
    import onnx

    pixels = torch.zeros(2, *saved.spec.shape)  # two: with one, the number of pictures would be fixed
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's about its own parts
        program = torch.onnx.export(
            saved.network,
            (pixels,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("pictures")},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {"data": json.dumps(saved.spec.to_json(), ensure_ascii=False)})
    onnx.checker.check_model(model)
    try:
        replace_file(path, model.SerializeToString())
    except OSError as error:
        raise ModelError(f"{path} cannot be written ({error})") from error
