"""What a model answers over HTTP (``mlflow models serve``) and through ``mlflow.pyfunc.load_model``.

Whoever serves a model needs nothing of this package: it carries a copy of this one, under the name ``kmnist_model``,
so that it never stands in the way of the one that may be installed.
"""

import base64
import json
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import numpy.typing as npt
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from ..data.spec import DataSpec
from ..errors import PictureError
from .classifier import Classifier, Row
from .pictures import read_picture, to_kmnist

EXPECTED = (
    'expected {{"inputs": ...}} with pixel values from 0 to 255, light ink on dark, as nested lists of shape '
    "(N, {}, {}), or with a list of pictures of any size (PNG, JPEG, WebP) as base64 text"
)
SETTINGS = "network/settings.json"
#: Of one request, whose pictures unpack to far more than it weighs. A character needs some thousand pixels.
MOST_PIXELS = 4_000_000  # of a picture
MOST_PIXELS_TOGETHER = 50_000_000
MOST_PICTURES = 10_000


class Served:
    """The function behind a server: pictures in, rows with kana out."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def predict(self, model_input: Any) -> list[Row]:
        """A row for each picture, as ``kmnist predict`` gives them.

        They are a list, since a data frame would take longer than the answer.

        Args:
            model_input: pixels (N, H, W) as an array or as nested lists; or a list of pictures as base64 text.

        Raises:
            MlflowException: it is something else; a server answers 400.
        """
        try:
            encoded = isinstance(model_input, list) and any(isinstance(item, str) for item in model_input)
            images = _decoded(model_input, self._classifier.spec.shape) if encoded else model_input
            return self._classifier.predict(images).rows()
        except PictureError as error:
            raise BadRequest(f"{error}; {EXPECTED.format(*self._classifier.spec.shape)}") from None


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


def _load_pyfunc(path: str) -> Served:
    """What MLflow calls with the path of the model's folder."""
    settings = json.loads((Path(path) / SETTINGS).read_text(encoding="utf-8"))
    return Served(Classifier(mlflow.pytorch.load_model(path), DataSpec.from_json(settings["data"]), path))


def _decoded(pictures: list[Any], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if len(pictures) > MOST_PICTURES:
        raise PictureError(
            f"{len(pictures):,} pictures: at most {MOST_PICTURES:,} are read at once; send them in parts"
        )
    images, left = [], MOST_PIXELS_TOGETHER
    for place, picture in enumerate(pictures):
        try:
            if not isinstance(picture, str):
                raise PictureError(f"a {type(picture).__name__} among texts")
            content = base64.b64decode(picture.rpartition("base64,")[2], validate=True)  # a browser's data: URL, too
            decoded = read_picture(content, most_pixels=min(MOST_PIXELS, left))
            left -= decoded.size
            images.append(to_kmnist(decoded, shape))
        except ValueError:
            raise PictureError(f"picture {place}: not base64") from None
        except PictureError as error:
            raise PictureError(f"picture {place}: {error}") from None
    return np.stack(images)
