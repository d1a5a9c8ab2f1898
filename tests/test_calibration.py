"""How far probabilities are to be believed."""

import numpy as np
import pytest

from kmnist.calibration import Calibration, grey_share
from kmnist.data import Images
from kmnist.metrics.calibrate import PRECISION, calibrate


def answers_of(temperature: float, count: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (N, 10) that are right as often as they say, then sharpened by ``temperature``; labels (N,)."""
    generator = np.random.default_rng(seed)
    honest = generator.dirichlet(np.full(10, 0.03), count).clip(1e-9)
    honest /= honest.sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    told = np.log(honest) * temperature
    told -= np.log(np.exp(told).sum(axis=1, keepdims=True))
    return told.astype(np.float32), labels


def images_of(labels: np.ndarray) -> Images:
    """Images that are grey in 10 to 20 % of their pixels."""
    pixels = np.zeros((len(labels), 28, 28), np.uint8)
    for place, row in enumerate(pixels.reshape(len(labels), -1)):
        row[: 78 + place % 79] = 128
    return Images(pixels, labels.astype(np.int64))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_spoilt_probabilities_is_found(temperature: float) -> None:
    told, labels = answers_of(temperature)
    found = calibrate(told, images_of(labels))
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    calibrated = np.exp(found.apply(told))
    assert calibrated.sum(axis=1) == pytest.approx(1, abs=1e-5)
    sure = calibrated.max(axis=1)
    for low in (0.5, 0.7, 0.9):
        bin = (sure >= low) & (sure < low + 0.1)
        assert (calibrated.argmax(axis=1) == labels)[bin].mean() == pytest.approx(sure[bin].mean(), abs=0.03)


def test_sure_answers_are_right_as_often_as_promised() -> None:
    told, labels = answers_of(2.0)
    found = calibrate(told, images_of(labels))
    others, truth = answers_of(2.0, seed=1)
    calibrated = np.exp(found.apply(others))
    kept = calibrated.max(axis=1) >= found.unsure_below
    assert 0.2 < kept.mean() < 0.9
    assert (calibrated.argmax(axis=1) == truth)[kept].mean() == pytest.approx(PRECISION, abs=0.005)


def test_one_that_is_never_wrong_has_a_threshold_too_and_one_that_always_is_answers_nothing() -> None:
    told, _ = answers_of(1.0)
    right = calibrate(told, images_of(told.argmax(axis=1)))
    assert (np.exp(right.apply(told)).max(axis=1) < right.unsure_below).mean() == pytest.approx(0.01, abs=0.002)
    assert calibrate(told, images_of(told.argmin(axis=1))).unsure_below == 1


def test_a_picture_that_is_no_letter_is_unsure_however_sure_the_network_is() -> None:
    told, labels = answers_of(1.0)
    images = images_of(labels)
    found = calibrate(told, images)
    assert found.grey == pytest.approx((0.1, 0.2), abs=0.002)
    noise = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    assert grey_share(noise) == pytest.approx(0.75, abs=0.05)
    certain = np.log(np.full((3, 10), 1e-9) + np.eye(3, 10)).astype(np.float32)
    assert found.unsure(images.pixels[:3] + 0, certain).tolist() == [False] * 3
    assert found.unsure(noise, certain).tolist() == [True] * 3
    assert found.unsure(np.zeros((3, 28, 28), np.uint8), certain).tolist() == [True] * 3


def test_without_one_nothing_changes() -> None:
    told, _ = answers_of(1.0, count=5)
    assert Calibration().apply(told) is told
    assert Calibration.from_json(None) == Calibration()
    assert Calibration.from_json(Calibration(0.5, 0.25, (0.1, 0.2)).to_json()) == Calibration(0.5, 0.25, (0.1, 0.2))


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"temperature": 1},
        {"temperature": 0, "unsure_below": 0, "grey": [0, 1]},
        {"temperature": float("nan"), "unsure_below": 0, "grey": [0, 1]},
        {"temperature": 1, "unsure_below": 1.5, "grey": [0, 1]},
        {"temperature": 1, "unsure_below": 0, "grey": [0.5, 0.25]},
        {"temperature": 1, "unsure_below": 0, "grey": [0.5]},
        {"temperature": "warm", "unsure_below": 0, "grey": [0, 1]},
    ],
)
def test_what_is_none_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match=r"calibration|warm|unpack"):
        Calibration.from_json(values)
