import doctest

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from kmnist import metrics

RNG = np.random.default_rng(0)
ACTUAL = RNG.integers(0, 10, 500)
PROBABILITIES = RNG.dirichlet(np.ones(10), 500)
PREDICTED = PROBABILITIES.argmax(axis=1)


def test_loss_and_accuracy_are_scikit_learns() -> None:
    found = metrics.score(torch.tensor(PROBABILITIES).log(), torch.tensor(ACTUAL))
    assert found.loss == pytest.approx(log_loss(ACTUAL, PROBABILITIES))
    assert found.accuracy == accuracy_score(ACTUAL, PREDICTED)


def test_confusion_rows_are_actual() -> None:
    assert (metrics.confusion_matrix(ACTUAL, PREDICTED) == confusion_matrix(ACTUAL, PREDICTED)).all()
    assert metrics.confusion_matrix(np.array([2]), np.array([7]))[2, 7] == 1


def test_the_example_in_the_docstring() -> None:
    assert doctest.testmod(metrics).failed == 0


def test_tables() -> None:
    table = metrics.per_class_table(ACTUAL, PREDICTED)
    assert table["support"].tolist() == np.bincount(ACTUAL).tolist()
    assert table["recall"][3] == pytest.approx((PREDICTED[ACTUAL == 3] == 3).mean())
    predictions = metrics.predictions_table(ACTUAL, np.log(PROBABILITIES).astype(np.float32))
    assert predictions.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(np.ones(500), abs=1e-5)
    assert (predictions["predicted"] == PREDICTED).all()


def test_the_most_confused_pairs_come_first() -> None:
    matrix = np.diag([8] * 10)
    matrix[2, 6], matrix[0, 9] = 2, 1
    table = metrics.confusions_table(matrix)
    assert table["count"].tolist() == [2, 1]
    assert table["actual"][0] == "2 su す"
    assert table["predicted"][0] == "6 ma ま"
    assert table["share_of_actual"][0] == pytest.approx(0.2)


def test_a_class_that_is_never_predicted_has_precision_zero() -> None:
    text, numbers = metrics.classification_report(np.arange(10), np.zeros(10, dtype=np.int64))
    assert numbers["ki"]["precision"] == 0
    assert "ki き" in text
