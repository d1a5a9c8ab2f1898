"""Balanced accuracy: the mean of the classes' recalls, which a large class cannot carry alone."""

import torch
from torch import Tensor

UNBALANCED = 1.5  # times the images of the smallest class, in the largest


def balanced_accuracy(log_probabilities: Tensor, labels: Tensor) -> float | None:
    """Mean over the classes that occur of the share of their images that are recognised, as scikit-learn has it.

    ``None`` where all classes are about as large: there it is the accuracy.

    Args:
        log_probabilities: (N, C).
        labels: (N,).
    """
    classes = log_probabilities.shape[1]
    sizes = torch.bincount(labels, minlength=classes)
    sizes_there = sizes[sizes > 0]
    if sizes_there.max() <= UNBALANCED * sizes_there.min():
        return None
    hits = torch.bincount(labels[log_probabilities.argmax(dim=1) == labels], minlength=classes)
    return float((hits[sizes > 0].double() / sizes_there).mean())
