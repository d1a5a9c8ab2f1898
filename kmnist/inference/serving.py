"""What a model answers over HTTP (``mlflow models serve``) and through ``mlflow.pyfunc.load_model``.

Whoever serves a model needs nothing of this package: it carries a copy of this one, under the name ``kmnist_model``,
so that it never stands in the way of the one that may be installed.
"""

import base64
import json
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from torch import Tensor
from torch.fx import GraphModule

from ..calibration import Calibration
from ..data.spec import DataSpec
from ..errors import PictureError
from ..pictures.formats import READABLE
from ..pictures.read import quiet_decoders, read_picture
from .classifier import Classifier, Row
from .columns import pixels_or_pictures
from .forms import prepare_picture

EXPECTED = (
    'expected {{"inputs": ...}} with pixel values from 0 to 255, light ink on dark, as nested lists of shape '
    "(N, {0}, {1}), or with a list of pictures of any size ({3}) as base64 text; or a table with such "
    "pictures in one column, or with {2} columns of pixels that are named by their numbers"
)
#: What ``params={{"output": ...}}`` may ask for; the first is the default.
OUTPUTS = ("answers", "probabilities", "log_probabilities", "classes")
Answer = list[Row] | npt.NDArray[Any] | pd.DataFrame | pd.Series
SETTINGS = "network/settings.json"
ENCODED = (str, bytes, bytearray, memoryview)  # what the file of a picture comes in
URL_SAFE = str.maketrans("-_", "+/")
#: Of one request, whose pictures unpack to far more than it weighs. A character needs some thousand pixels.
MOST_PIXELS = 4_000_000  # of a picture
MOST_PIXELS_TOGETHER = 50_000_000
MOST_PICTURES = 10_000


class Served:
    """The function behind a server: pictures in, rows with kana out."""

    def __init__(self, classifier: Classifier, output: str = OUTPUTS[0]) -> None:
        self._classifier, self._output = classifier, output

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Answer:
        """What the network says of each picture, as ``kmnist predict`` does.

        Args:
            model_input: pixels as an array or nested lists, (N, H, W), (N, H * W), or of one picture (H, W); pictures
                as ``bytes`` (or ``bytearray``, ``memoryview``) or base64 text, one or a list; or a table with a column
                of these, or H * W columns of pixels, which are taken by the numbers at the end of their names.
            params: ``output``, one of OUTPUTS; ``unsure_below``, the probability below which an answer is unsure;
                ``raw``: take pictures as they are, which must have the shape of the training images and look like them.

        Returns:
            A table for a table (of ``classes``, a column). Else, of ``answers``, a row for each picture (a list: a
            table would take longer than the answer), and an array (N, C) or (N,) of the others.

        Raises:
            MlflowException: it is something else; a server answers 400.
        """
        output = (params or {}).get("output") or self._output
        spec = self._classifier.spec
        try:
            if output not in OUTPUTS:
                raise PictureError(f"output={str(output)[:80]!r}: must be one of {', '.join(OUTPUTS)}")
            images = _images(model_input, spec, bool((params or {}).get("raw")))
            found = self._classifier.predict(images, (params or {}).get("unsure_below"))
        except PictureError as error:
            height, width = spec.shape
            raise BadRequest(f"{error}; {EXPECTED.format(height, width, height * width, READABLE)}") from None
        rows = found.rows() if output == "answers" else getattr(found, output)
        if not isinstance(model_input, pd.DataFrame | pd.Series):
            return rows
        if output == "classes":
            return pd.Series(rows, model_input.index, name="class")
        names = None if output == "answers" else [label.text for label in spec.classes]
        return pd.DataFrame(rows, model_input.index, names)


class BadRequest(MlflowException):
    """Keeps its message: MLflow's server would put the whole request before it, however long."""

    def __init__(self, message: str) -> None:
        self._message = message
        super().__init__(message, INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """What is wrong, and what was expected."""
        return self._message

    @message.setter
    def message(self, longer: str) -> None:
        pass


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> Served:
    """What MLflow calls with the path of the model's folder.

    Args:
        path: of the folder.
        model_config: ``output``, the default of what ``predict`` is asked for: MLflow's evaluation can ask for nothing.
    """
    quiet_decoders()
    settings = json.loads((Path(path) / SETTINGS).read_text(encoding="utf-8"))
    calibration, spec = Calibration.from_json(settings["calibration"]), DataSpec.from_json(settings["data"])
    network = _without_checks(mlflow.pytorch.load_model(path), spec.shape)
    return Served(Classifier(network, spec, path, calibration), model_config["output"])


def _without_checks(network: GraphModule, shape: tuple[int, int]) -> Callable[[Tensor], Tensor]:
    """An exported graph, without the checks of type and shape that it makes at each call, for a quarter of its time.

    The classifier has made them before it calls. What they say of one picture and of several is heard here, once.
    """
    with torch.inference_mode():
        for count in (1, 2):
            network(torch.zeros(count, *shape))
    for node in network.graph.find_nodes(op="call_module", target="_guards_fn"):
        network.graph.erase_node(node)
    network.recompile()
    forward: Callable[[Tensor], Tensor] = network.forward  # the others are hooks, which are not asked here
    return forward


def _images(given: Any, spec: DataSpec, raw: bool) -> Any:
    """Whatever was given, as pixels or what may be pixels."""
    shape = spec.shape
    if hasattr(given, "to_pandas"):  # a table or array of pyarrow or polars
        given = given.to_pandas()
    if isinstance(given, pd.DataFrame):
        given = pixels_or_pictures(given, shape)
    given = _unwrapped(given)
    if isinstance(given, pd.Series) or (isinstance(given, np.ndarray) and given.dtype.kind in "OSU"):
        given = given.tolist()
    if isinstance(given, ENCODED):
        given = [given]
    if isinstance(given, list):
        given = [_unwrapped(item) for item in given]
        if any(isinstance(item, ENCODED) for item in given):
            return _decoded(given, spec, raw)
    try:
        pixels = np.asarray(given)
    except ValueError:  # rows of different lengths: the classifier says so
        return given
    flat = pixels.ndim in (1, 2) and pixels.shape[-1:] == (prod(shape),)
    return pixels.reshape(-1, *shape) if flat else pixels


def _unwrapped(given: Any) -> Any:
    """What is inside of ``{"b64": ...}``, which TensorFlow Serving puts around base64 text, or of an input's name."""
    while True:
        if isinstance(given, dict) and len(given) == 1:
            [given] = given.values()
        elif isinstance(given, np.ndarray) and given.ndim == 0 and given.dtype.kind in "OSU":
            given = given.item()  # MLflow makes arrays of all that it finds in a request, of a single text, too
        else:
            return given


def _decoded(pictures: list[Any], spec: DataSpec, raw: bool) -> npt.NDArray[np.uint8]:
    if len(pictures) > MOST_PICTURES:
        raise PictureError(
            f"{len(pictures):,} pictures: at most {MOST_PICTURES:,} are read at once; send them in parts"
        )
    images, left = [], MOST_PIXELS_TOGETHER
    for place, picture in enumerate(pictures):
        try:
            if not isinstance(picture, ENCODED):
                raise PictureError(f"a {type(picture).__name__} among pictures")
            content = _from_base64(picture) if isinstance(picture, str) else bytes(picture)
            decoded = read_picture(content, most_pixels=min(MOST_PIXELS, left))
            left -= decoded.size
            images.append(prepare_picture(decoded, spec, raw=raw))
        except PictureError as error:
            raise PictureError(f"picture {place}: {error}") from None
    return np.stack(images)


def _from_base64(text: str) -> bytes:
    """The bytes behind base64 text as people have it.

    A browser's ``data:`` address, lines of 76 characters (RFC 2045), the alphabet of addresses (``-`` and ``_``),
    padded or not (RFC 4648).
    """
    plain = "".join(text.rpartition("base64,")[2].split()).translate(URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise PictureError("not base64") from None
