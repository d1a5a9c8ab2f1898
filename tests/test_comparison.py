"""Whether a model is worse: told where it is, and not told where it only looks so."""

import multiprocessing
from collections.abc import Iterator

import numpy as np
import pytest

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.inference import Classifier
from kmnist.registry.comparison import Lost, compare_hits, compare_speed
from kmnist.registry.gate import SLOWDOWN
from tests.nets import network

IMAGE = np.zeros((28, 28), np.uint8)


def work() -> None:
    while True:
        np.ones((200, 200)) @ np.ones((200, 200))


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Others compute on every core."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, daemon=True) for _ in range(multiprocessing.cpu_count())]
    for process in processes:
        process.start()
    yield
    for process in processes:
        process.kill()
        process.join()


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(network(TrainConfig.parse({})).eval(), SPEC, "ours")


@pytest.mark.parametrize(
    ("worse", "better", "p", "significant"),
    [
        (0, 0, 1.0, False),
        (1, 0, 0.5, False),  # one picture of 606: no reason to refuse
        (4, 0, 0.0625, False),
        (5, 0, 0.03125, True),
        (30, 29, 0.5, False),
        (40, 20, 0.0067, True),
        (20, 40, 0.9967, False),
    ],
)
def test_p_is_that_of_the_exact_test(worse: int, better: int, p: float, significant: bool) -> None:
    lost = Lost(worse, better)
    assert lost.p == pytest.approx(p, rel=0.01)
    assert lost.is_significant is significant


def test_only_pictures_that_tell_two_models_apart_count() -> None:
    candidate = np.array([True, True, False, False, True])
    champion = np.array([True, False, True, False, False])
    assert compare_hits(candidate, champion) == Lost(worse=1, better=2)


def test_a_net_is_as_fast_as_itself_on_a_busy_machine(busy_machine: None, classifier: Classifier) -> None:
    for _ in range(20):
        lost, ratio = compare_speed(lambda: classifier.predict(IMAGE), lambda: classifier.predict(IMAGE), SLOWDOWN)
        assert not lost.is_significant, (lost, ratio)


def test_a_net_that_takes_twice_as_long_is_too_slow_on_a_busy_machine(
    busy_machine: None, classifier: Classifier
) -> None:
    def twice() -> None:
        classifier.predict(IMAGE)
        classifier.predict(IMAGE)

    for _ in range(5):
        lost, ratio = compare_speed(twice, lambda: classifier.predict(IMAGE), SLOWDOWN)
        assert lost.is_significant, (lost, ratio)
        lost, ratio = compare_speed(lambda: classifier.predict(IMAGE), twice, SLOWDOWN)
        assert not lost.is_significant, (lost, ratio)
