"""What the members' answers mean together, learnt from answers for images that they were not trained on."""

import numpy as np
import torch

from kmnist.calibration import LogProbabilities
from kmnist.data import Labels
from kmnist.ensembles.network import Stack

MOST_STEPS = 1_000  # of the solver


def fit_stack(told: LogProbabilities, labels: Labels) -> Stack:
    """The logistic regression of scikit-learn, with its usual penalty, on all members' probabilities.

    Args:
        told: (M, N, C), each member's log-probabilities for images that it was not trained on.
        labels: (N,); each of the C classes occurs.
    """
    from sklearn.linear_model import LogisticRegression  # late: it takes a second to import

    members, images, classes = told.shape
    features = np.exp(told).transpose(1, 0, 2).reshape(images, members * classes)
    found = LogisticRegression(max_iter=MOST_STEPS).fit(features, labels)
    weight, bias = found.coef_, found.intercept_
    if classes == 2:  # of two classes it has the second one only
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.concatenate([[0.0], bias])
    stack = Stack(members, classes)
    with torch.no_grad():
        stack.regression.weight.copy_(torch.from_numpy(weight))
        stack.regression.bias.copy_(torch.from_numpy(bias))
    return stack
