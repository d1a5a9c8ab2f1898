"""From pictures to predictions: a closed package, of which every model carries a copy.

It knows no training and no registry: it is handed a network and a ``DataSpec``. ``pictures`` brings a picture into the
form of the training images, ``classifier`` predicts, ``serving`` answers over HTTP. It imports nothing of ours but
``errors``, ``data.spec`` and the decoding in ``pictures``, and those relatively: its copies have another name.
"""

from typing import TYPE_CHECKING, Any

from ..pictures.read import read_picture
from .forms import prepare_picture
from .pictures import to_kmnist

if TYPE_CHECKING:
    from .classifier import Classifier, Predictions

__all__ = ["Classifier", "Predictions", "prepare_picture", "read_picture", "to_kmnist"]


def __getattr__(name: str) -> Any:
    """Load what is asked for only then: processes that read pictures need no torch."""
    if name in __all__:
        from . import classifier

        return getattr(classifier, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
