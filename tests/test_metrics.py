import doctest
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, log_loss

from kmnist import metrics
from kmnist.data.kmnist import SPEC

RNG = np.random.default_rng(0)
ACTUAL = RNG.integers(0, 10, 500)
PROBABILITIES = RNG.dirichlet(np.ones(10), 500)
PREDICTED = PROBABILITIES.argmax(axis=1)


def test_loss_and_accuracy_are_scikit_learns() -> None:
    found = metrics.score(torch.tensor(PROBABILITIES).log(), torch.tensor(ACTUAL))
    assert found.loss == pytest.approx(log_loss(ACTUAL, PROBABILITIES))
    assert found.accuracy == accuracy_score(ACTUAL, PREDICTED)


def test_confusion_rows_are_actual() -> None:
    assert (metrics.confusion_matrix(ACTUAL, PREDICTED, 10) == confusion_matrix(ACTUAL, PREDICTED)).all()
    assert metrics.confusion_matrix(np.array([2]), np.array([7]), 10)[2, 7] == 1


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(sys.modules["kmnist.metrics.score"]).failed == 0


def test_tables() -> None:
    table = metrics.per_class_table(ACTUAL, PREDICTED, SPEC)
    assert table["support"].tolist() == np.bincount(ACTUAL).tolist()
    assert table["recall"][3] == pytest.approx((PREDICTED[ACTUAL == 3] == 3).mean())
    predictions = metrics.predictions_table(ACTUAL, np.log(PROBABILITIES).astype(np.float32), SPEC)
    assert predictions.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(np.ones(500), abs=1e-5)
    assert (predictions["predicted"] == PREDICTED).all()


def test_the_most_confused_pairs_come_first() -> None:
    matrix = np.diag([8] * 10)
    matrix[2, 6], matrix[0, 9] = 2, 1
    table = metrics.confusions_table(matrix, SPEC)
    assert table["count"].tolist() == [2, 1]
    assert table["actual"][0] == "2 su す"
    assert table["predicted"][0] == "6 ma ま"
    assert table["share_of_actual"][0] == pytest.approx(0.2)


def test_a_class_that_is_never_predicted_has_precision_zero() -> None:
    text, numbers = metrics.classification_report(np.arange(10), np.zeros(10, dtype=np.int64), SPEC)
    assert numbers["ki"]["precision"] == 0
    assert "ki き" in text


def test_an_unbalanced_split_gets_scikit_learns_balanced_accuracy() -> None:
    actual = np.concatenate([ACTUAL, np.full(300, 3)])
    probabilities = np.concatenate([PROBABILITIES, RNG.dirichlet(np.ones(10), 300)])
    found = metrics.score(torch.tensor(probabilities).log(), torch.tensor(actual)).more["balanced_accuracy"]
    assert found == pytest.approx(balanced_accuracy_score(actual, probabilities.argmax(axis=1)))


def test_a_balanced_split_does_not() -> None:
    labels = torch.arange(100) % 10
    assert metrics.score(torch.rand(100, 10).log_softmax(1), labels).more == {}
