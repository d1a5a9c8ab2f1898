"""From predictions to numbers and tables. To add a metric: a field of ``Metrics`` and its place in ``score``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from kmnist.kana import CLASSES, KANA, ROMAJI

if TYPE_CHECKING:
    import pandas as pd

Counts = npt.NDArray[np.int64]
NAMES = [f"{number} {romaji} {kana}" for number, (romaji, kana) in enumerate(zip(ROMAJI, KANA))]


@dataclass(frozen=True)
class Metrics:
    """Loss and accuracy of one split.

    Attributes:
        loss: mean negative log-likelihood of the labels in nats, without label smoothing; lower is better.
        accuracy: share of images whose most probable class is their label, 0..1.
    """

    loss: float
    accuracy: float


def score(log_probabilities: Tensor, labels: Tensor) -> Metrics:
    """Metrics of log-probabilities (N, 10) against labels (N,); N >= 1. A NaN anywhere makes the loss NaN.

    >>> import torch
    >>> score(torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log(), torch.tensor([0, 1]))
    Metrics(loss=0.4904146194458008, accuracy=1.0)
    """
    loss = F.nll_loss(log_probabilities, labels).item()
    return Metrics(loss, (log_probabilities.argmax(dim=1) == labels).double().mean().item())


def confusion_matrix(actual: Counts, predicted: Counts) -> Counts:
    """Counts (10, 10): entry [i, j] is the number of images of class i that were taken for class j."""
    return np.bincount(actual * CLASSES + predicted, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def classification_report(actual: Counts, predicted: Counts) -> tuple[str, dict[str, Any]]:
    """Precision, recall, f1 and support of each class by scikit-learn, as text and as numbers.

    A class that was never predicted has precision 0.
    """
    from sklearn.metrics import classification_report as report

    labels = list(range(CLASSES))
    text: str = report(actual, predicted, labels=labels, target_names=NAMES, digits=4, zero_division=0)
    numbers: dict[str, Any] = report(
        actual, predicted, labels=labels, target_names=ROMAJI, zero_division=0, output_dict=True
    )
    return text, numbers


def per_class_table(actual: Counts, predicted: Counts) -> "pd.DataFrame":
    """One row a class: class, romaji, kana, precision, recall, f1, support."""
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(actual, predicted, labels=list(range(CLASSES)), zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), columns)))
    table.insert(0, "kana", KANA)
    table.insert(0, "romaji", ROMAJI)
    table.insert(0, "class", range(CLASSES))
    return table


def predictions_table(actual: Counts, log_probabilities: npt.NDArray[np.float32]) -> "pd.DataFrame":
    """One row an image: index, actual, predicted, and the probability of each class as ``p_0_o`` ... ``p_9_wo``."""
    import pandas as pd

    table = pd.DataFrame(
        np.exp(log_probabilities), columns=[f"p_{number}_{romaji}" for number, romaji in enumerate(ROMAJI)]
    )
    table.insert(0, "predicted", log_probabilities.argmax(axis=1))
    table.insert(0, "actual", actual)
    table.insert(0, "index", range(len(actual)))
    return table


def confusions_table(confusion: Counts, most: int = 20) -> "pd.DataFrame":
    """The pairs that were confused most often, most frequent first: actual, predicted, count, share of the actual."""
    import pandas as pd

    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    actual, predicted = np.unravel_index(order, wrong.shape)
    counts = wrong[actual, predicted]
    table = pd.DataFrame(
        {
            "actual": [NAMES[number] for number in actual],
            "predicted": [NAMES[number] for number in predicted],
            "count": counts,
            "share_of_actual": counts / np.maximum(confusion.sum(axis=1)[actual], 1),
        }
    )
    return table[table["count"] > 0]
