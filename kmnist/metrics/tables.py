"""The confusion matrix, scikit-learn's report, and tables, with the names of the classes."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kmnist.data.spec import DataSpec

if TYPE_CHECKING:
    import pandas as pd

Counts = npt.NDArray[np.int64]


def confusion_matrix(actual: Counts, predicted: Counts, classes: int) -> Counts:
    """Counts (classes, classes): entry [i, j] is the number of images of class i that were taken for class j."""
    return np.bincount(actual * classes + predicted, minlength=classes**2).reshape(classes, classes)


def classification_report(actual: Counts, predicted: Counts, spec: DataSpec) -> tuple[str, dict[str, Any]]:
    """Precision, recall, f1 and support of each class by scikit-learn, as text and as numbers.

    A class that was never predicted has precision 0.
    """
    from sklearn.metrics import classification_report as report

    labels = list(range(len(spec.classes)))
    texts = [label.text for label in spec.classes]
    text: str = report(actual, predicted, labels=labels, target_names=spec.names, digits=4, zero_division=0)
    numbers: dict[str, Any] = report(
        actual, predicted, labels=labels, target_names=texts, zero_division=0, output_dict=True
    )
    return text, numbers


def per_class_table(actual: Counts, predicted: Counts, spec: DataSpec) -> "pd.DataFrame":
    """One row a class: class, label, glyph, precision, recall, f1, support."""
    import pandas as pd
    from sklearn.metrics import precision_recall_fscore_support

    numbers = list(range(len(spec.classes)))
    columns = precision_recall_fscore_support(actual, predicted, labels=numbers, zero_division=0)
    table = pd.DataFrame(dict(zip(("precision", "recall", "f1", "support"), columns)))
    table.insert(0, "glyph", [label.glyph for label in spec.classes])
    table.insert(0, "label", [label.text for label in spec.classes])
    table.insert(0, "class", numbers)
    return table


def predictions_table(actual: Counts, log_probabilities: npt.NDArray[np.float32], spec: DataSpec) -> "pd.DataFrame":
    """One row an image: index, actual, predicted, and the probability of each class as ``p_0_o`` ... ``p_9_wo``."""
    import pandas as pd

    table = pd.DataFrame(
        np.exp(log_probabilities), columns=[f"p_{number}_{label.text}" for number, label in enumerate(spec.classes)]
    )
    table.insert(0, "predicted", log_probabilities.argmax(axis=1))
    table.insert(0, "actual", actual)
    table.insert(0, "index", range(len(actual)))
    return table


def confusions_table(confusion: Counts, spec: DataSpec, most: int = 20) -> "pd.DataFrame":
    """The pairs that were confused most often, most frequent first: actual, predicted, count, share of the actual."""
    import pandas as pd

    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    actual, predicted = np.unravel_index(order, wrong.shape)
    counts = wrong[actual, predicted]
    table = pd.DataFrame(
        {
            "actual": [spec.names[number] for number in actual],
            "predicted": [spec.names[number] for number in predicted],
            "count": counts,
            "share_of_actual": counts / np.maximum(confusion.sum(axis=1)[actual], 1),
        }
    )
    return table[table["count"] > 0]
