"""From what a browser sends to an answer."""

from base64 import b64decode
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kmnist.errors import PictureError
from kmnist.inference import Classifier, Predictions, read_picture, to_kmnist

PREFIX = "data:image/png;base64,"  # what a canvas gives
MOST_CHARACTERS = 400_000  # a drawing has 5,000 to 20,000
MOST_PIXELS = 1_000_000  # the sketchpad has 102,400; a small file can claim to have billions


@dataclass(frozen=True)
class Answer:
    """What a network says about one drawing.

    Attributes:
        seen: (H, W), what the network was given: light ink on dark.
        predictions: of this one picture.
    """

    seen: npt.NDArray[np.uint8]
    predictions: Predictions


def answer(classifier: Classifier, drawing: object) -> Answer:
    """Say what a drawing shows.

    Args:
        classifier: whose answer.
        drawing: a data URL of a PNG, if a browser sent it; anything at all, if someone else did.

    Raises:
        NothingDrawn: the sketchpad is empty.
        PictureError: it is no such picture.
    """
    seen = to_kmnist(read_picture(_content(drawing), most_pixels=MOST_PIXELS), classifier.spec.shape)
    return Answer(seen, classifier.predict(seen))


def _content(drawing: object) -> bytes:
    if not isinstance(drawing, str) or not drawing.startswith(PREFIX):
        raise PictureError(f"not a drawing: must be text that begins with {PREFIX}")
    if len(drawing) > MOST_CHARACTERS:
        raise PictureError(f"a drawing of {len(drawing):,} characters: must be at most {MOST_CHARACTERS:,}")
    try:
        return b64decode(drawing.removeprefix(PREFIX), validate=True)
    except ValueError:  # of base64, and for what is not ASCII
        raise PictureError("damaged drawing: not base64") from None
