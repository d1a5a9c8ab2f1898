"""Ensembles against scikit-learn's, on fixed probabilities; and as networks: saved, loaded, shifted."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.ensembles.choose import choose
from kmnist.ensembles.config import KINDS, EnsembleConfig, Kind
from kmnist.ensembles.diversity import disagreement
from kmnist.ensembles.network import Mean, Samme, Shifted
from kmnist.ensembles.samme import weigh
from kmnist.ensembles.stacking import MOST_STEPS, fit_stack
from kmnist.errors import ModelError
from kmnist.network import SETTINGS, SavedNetwork, empty_network, load_network, save_network
from kmnist.registry.export import export_onnx

Floats = npt.NDArray[np.float64]
MEMBERS, IMAGES = 3, 300


def probabilities(classes: int, seed: int = 0) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Those of three members that are right more often than not, (M, N, C), and the labels, (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=IMAGES)
    levels = rng.normal(size=(MEMBERS, IMAGES, classes)) + 1.5 * np.eye(classes)[labels]
    told = np.exp(levels)
    return told / told.sum(axis=2, keepdims=True), labels


def side_by_side(told: Floats) -> Floats:
    """(M, N, C) -> (N, M * C): the features from which ``Fixed`` estimators take their answers."""
    return told.transpose(1, 0, 2).reshape(told.shape[1], -1)


class Fixed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator whose probabilities are columns of its features."""

    fitted: ClassVar[list[Floats]] = []  # the weights of the images, at each fit

    def __init__(self, member: int | None = None, classes: int = 10) -> None:
        self.member, self.classes = member, classes

    def fit(self, features: Floats, labels: Any, sample_weight: Any = None) -> "Fixed":
        self.classes_ = np.arange(self.classes)
        self.place_ = len(Fixed.fitted) if self.member is None else self.member  # as a boosted one, the next
        Fixed.fitted.append(np.array(sample_weight))
        return self

    def predict_proba(self, features: Floats) -> Floats:
        return features[:, self.place_ * self.classes : (self.place_ + 1) * self.classes]

    def predict(self, features: Floats) -> Any:
        return self.predict_proba(features).argmax(axis=1)


def combined(combination: nn.Module, told: Floats) -> Floats:
    with torch.no_grad():
        found: Tensor = combination(torch.from_numpy(np.log(told)).float())
    return found.exp().double().numpy()


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [3.0, 0.5, 1.0]])
def test_a_vote_is_scikit_learns(weights: list[float]) -> None:
    told, labels = probabilities(10)
    estimators = [(f"{member}", Fixed(member)) for member in range(MEMBERS)]
    reference = VotingClassifier(estimators, voting="soft", weights=weights).fit(side_by_side(told), labels)
    assert combined(Mean(weights), told) == pytest.approx(reference.predict_proba(side_by_side(told)), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 10])
def test_boosting_is_scikit_learns_samme(classes: int) -> None:
    told, labels = probabilities(classes)
    Fixed.fitted.clear()
    reference = AdaBoostClassifier(Fixed(classes=classes), n_estimators=MEMBERS).fit(side_by_side(told), labels)
    images, weights = np.full(IMAGES, 1 / IMAGES), []
    for member, expected in zip(told, Fixed.fitted):
        assert images == pytest.approx(expected, rel=1e-9)
        after = weigh(images, member.argmax(axis=1) != labels, classes)
        assert after.weight is not None
        assert after.images is not None
        weights.append(after.weight)
        images = after.images
    assert weights == pytest.approx(list(reference.estimator_weights_), rel=1e-9)
    assert combined(Samme(weights), told) == pytest.approx(reference.predict_proba(side_by_side(told)), abs=1e-6)


def test_boosting_ends_where_there_is_nothing_to_learn_from_errors() -> None:
    images, none = np.full(4, 0.25), np.zeros(4, bool)
    perfect = weigh(images, none, 10)
    assert (perfect.error, perfect.weight, perfect.images) == (0, 1, None)
    guess = weigh(images, np.array([True, True, False, False]), 2)
    assert (guess.error, guess.weight, guess.images) == (0.5, None, None)


@pytest.mark.parametrize("classes", [2, 10])
def test_a_stack_is_scikit_learns(classes: int) -> None:
    told, labels = probabilities(classes)
    features = side_by_side(told)
    if classes == 2:  # scikit-learn leaves out the first column of each member, which says the same as the second
        expected = LogisticRegression(max_iter=MOST_STEPS).fit(features, labels).predict_proba(features)
    else:
        estimators = [(f"{place}", Fixed(place).fit(features, labels)) for place in range(MEMBERS)]
        final = LogisticRegression(max_iter=MOST_STEPS)
        reference = StackingClassifier(estimators, final, cv="prefit", stack_method="predict_proba")
        expected = reference.fit(features, labels).predict_proba(features)
    stack = fit_stack(np.log(told).astype(np.float32), labels)
    assert combined(stack, told) == pytest.approx(expected, abs=1e-4)


def test_who_is_chosen_lowers_the_loss_most() -> None:
    told, labels = probabilities(10)
    told = np.concatenate([told, np.full((1, IMAGES, 10), 0.1)])  # and one that knows nothing

    def loss(*members: int) -> float:
        mean = told[list(members)].mean(axis=0)
        return float(-np.log(mean[np.arange(IMAGES), labels]).mean())

    chosen = choose(np.log(told).astype(np.float32), labels, 3)
    assert sorted(choose(np.log(told).astype(np.float32), labels, 9)) == [0, 1, 2, 3]
    assert sorted(chosen) == [0, 1, 2]
    assert chosen[0] == min(range(4), key=loss)
    assert loss(*chosen) == min(loss(*members) for size in (1, 2, 3, 4) for members in combinations(range(4), size))
    assert choose(np.log(told).astype(np.float32), labels, 2) == chosen[:2]


def test_disagreement_is_the_share_of_images_that_two_name_differently() -> None:
    told = np.log(np.eye(3)[[[0, 1, 2, 0], [0, 1, 1, 1], [0, 1, 2, 0]]] + 1e-9).astype(np.float32)
    assert disagreement(told).tolist() == [[0, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0]]


def test_shifted_is_the_mean_over_images_that_were_shifted() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.LogSoftmax(dim=1))
    pixels = torch.rand(4, 6, 6)
    copies = [pixels]
    for by in (1, 2):
        for turns in range(4):  # up, right, down, left
            turned = torch.rot90(pixels, turns, (1, 2))
            moved = torch.cat([turned[:, by:], torch.zeros(4, by, 6)], dim=1)
            copies.append(torch.rot90(moved, -turns, (1, 2)))
    expected = torch.stack([network(copy).exp() for copy in copies]).mean(dim=0)
    assert torch.allclose(Shifted(network, 2)(pixels).exp(), expected, atol=1e-6)


def ensemble(kind: Kind, tta: int = 0) -> SavedNetwork:
    torch.manual_seed(0)
    members = tuple(TrainConfig.parse(of) for of in ({"arch": "cnn", "channels": "4,8"}, {"hidden": "8", "seed": 3}))
    config = EnsembleConfig(kind, tta, members)
    return SavedNetwork(empty_network(config, SPEC).eval(), config, SPEC)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_loaded_from_weights_and_settings_alone(kind: Kind, tmp_path: Path) -> None:
    saved = ensemble(kind, tta=1)
    save_network(saved, tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["settings.json", "weights.safetensors"]
    loaded = load_network(tmp_path)
    assert loaded.config == saved.config
    pixels = torch.rand(5, 28, 28) * 255
    with torch.no_grad():
        told = loaded.network(pixels)
        assert torch.allclose(told, saved.network(pixels), atol=1e-6)
    assert told.exp().sum(dim=1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)
    assert loaded.config.splits == ((0.1, 0), (0.1, 3))


@pytest.mark.parametrize(
    ("part", "value", "wrong"),
    [
        ("kind", "guess", "ensemble.kind=guess: must be 'vote', 'bag', 'boost' or 'stack'"),
        ("kind", "stack", "combination.log_shares: \\(2,\\) in the file, nothing by its settings"),
        ("tta", 99, "ensemble.tta=99: must be less than or equal to 3"),
        ("members", [], "ensemble.members=: "),
        ("members", [{}] * 99, "ensemble.members"),
        ("members", [{"arch": "plain"}], "log_shares: \\(2,\\) in the file, \\(1,\\) by its settings"),
        ("members", [{"arch": "ensemble"}] * 2, "unknown arch 'ensemble'"),
        ("members", 7, "ensemble.members=7"),
        ("more", 1, "unknown setting 'more'"),
        (None, [], "format"),
        (None, {}, "ensemble.kind: must be given"),
    ],
)
def test_settings_that_are_no_ensembles_are_refused(part: str | None, value: Any, wrong: str, tmp_path: Path) -> None:
    save_network(ensemble("vote"), tmp_path)
    content = json.loads((tmp_path / SETTINGS).read_text())
    if part is None:
        content["ensemble"] = value
    else:
        content["ensemble"][part] = value
    (tmp_path / SETTINGS).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=wrong):
        load_network(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vote", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("boost", "stack"))])
def test_onnxruntime_answers_as_it_does(kind: Kind, tmp_path: Path) -> None:
    exported = ensemble(kind, tta=1)
    export_onnx(exported, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    pixels = torch.rand(7, 28, 28) * 255
    for count in (1, 7):
        [found] = session.run(["log_probabilities"], {"pixels": pixels[:count].numpy()})
        with torch.no_grad():
            assert np.allclose(found, exported.network(pixels[:count]).numpy(), rtol=1e-4, atol=1e-4)
