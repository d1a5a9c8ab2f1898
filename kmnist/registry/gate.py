"""The gate before an alias: what a version must show. To add a check: a function and a line in CHECKS."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from kmnist.data import OFFICIAL_DIGESTS, Dataset, Images, split_indices
from kmnist.errors import ModelError
from kmnist.inference import Classifier
from kmnist.registry.load import load_model
from kmnist.registry.versions import NAME

SLOWER = 1.5  # how many times the champion's time a picture may take
LEAST_IMAGES = 200  # on which two models are compared


@dataclass(frozen=True)
class Verdict:
    """What one check found."""

    check: str
    passed: bool
    found: str


@dataclass(frozen=True)
class Candidate:
    """A version with its run and its network."""

    version: ModelVersion
    run: Run
    classifier: Classifier


def examine(candidate: Candidate, champion: Candidate | None, data: Dataset) -> list[Verdict]:
    """Every check of a version that is to take the champion's place.

    Args:
        candidate: the version.
        champion: the version that the alias points to; ``None`` if none does, or the same.
        data: Kuzushiji-MNIST.
    """
    return [Verdict(check.__name__.removeprefix("_"), *check(candidate, champion, data)) for check in CHECKS]


def open_candidate(client: MlflowClient, version: ModelVersion) -> Candidate:
    """Load a version, without pickle.

    Raises:
        ModelError: it cannot be loaded, or its run is gone.
    """
    if not version.run_id:
        raise ModelError(f"version {version.version} was not registered from a run; it cannot be checked")
    classifier = load_model(f"models:/{NAME}/{version.version}", tracking_uri=client.tracking_uri)
    return Candidate(version, client.get_run(version.run_id), classifier)


def _trained_on_kmnist(candidate: Candidate, champion: Candidate | None, data: Dataset) -> tuple[bool, str]:
    dataset, digest = candidate.run.data.tags.get("dataset"), candidate.version.tags.get("data.test", "")
    good = dataset == "kmnist" and OFFICIAL_DIGESTS["test"].startswith(digest) and len(digest) >= 16
    return good, f"trained on {dataset}, test images {digest[:12]}"


def _test_accuracy_repeats(candidate: Candidate, champion: Candidate | None, data: Dataset) -> tuple[bool, str]:
    logged = candidate.run.data.metrics["test/accuracy"]
    measured = _accuracy(candidate.classifier, data.test)
    return measured == logged, f"{measured!r} measured, {logged!r} logged by the run"


def _as_good_on_validation(candidate: Candidate, champion: Candidate | None, data: Dataset) -> tuple[bool, str]:
    """On the images that neither was trained on: with the same seed and fraction, the validation split of both."""
    if champion is None:
        return True, "there is no champion yet"
    unseen = np.intersect1d(_validation_indices(candidate.run, data), _validation_indices(champion.run, data))
    if len(unseen) < LEAST_IMAGES:
        return False, f"only {len(unseen)} images are in the validation splits of both; train with the same seed"
    images = data.train[unseen]
    mine, theirs = _accuracy(candidate.classifier, images), _accuracy(champion.classifier, images)
    found = f"{mine:.4f}, champion (version {champion.version.version}) {theirs:.4f}, on {len(unseen):,} images"
    return mine >= theirs, found


def _fast_enough(candidate: Candidate, champion: Candidate | None, data: Dataset) -> tuple[bool, str]:
    if champion is None:
        return True, f"{_milliseconds(candidate.classifier):.2f} ms a picture; there is no champion yet"
    mine, theirs = _milliseconds(candidate.classifier), _milliseconds(champion.classifier)
    return mine <= SLOWER * theirs, f"{mine:.2f} ms a picture, champion {theirs:.2f} ms; at most {SLOWER} times that"


CHECKS: list[Callable[[Candidate, Candidate | None, Dataset], tuple[bool, str]]] = [
    _trained_on_kmnist,
    _test_accuracy_repeats,
    _as_good_on_validation,
    _fast_enough,
]


def _accuracy(classifier: Classifier, images: Images) -> float:
    hits = int((classifier.predict(images.pixels).classes == images.labels).sum())
    return hits / len(images)


def _validation_indices(run: Run, data: Dataset) -> npt.NDArray[np.int64]:
    params = run.data.params
    return split_indices(data.train, float(params["valid_fraction"]), int(params["seed"]))[1]


def _milliseconds(classifier: Classifier) -> float:
    """Median time of one picture."""
    image = np.zeros((28, 28), np.uint8)
    times = []
    for _ in range(60):
        began = time.perf_counter()
        classifier.predict(image)
        times.append(time.perf_counter() - began)
    return statistics.median(times[10:]) * 1000
