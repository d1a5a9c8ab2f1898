"""The gate before an alias: what a version must show. To add a check: a function, a line in CHECKS or COMPARISONS."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from kmnist import record
from kmnist.data import Dataset, DataSpec, Images, held_out_indices
from kmnist.errors import ModelError
from kmnist.inference import Classifier
from kmnist.record import TrackedRun
from kmnist.registry.comparison import SIGNIFICANCE, compare_hits, compare_speed
from kmnist.registry.load import load_version
from kmnist.registry.server import look_up, require_active
from kmnist.tracking.read import read_run

SLOWDOWN = 1.5  # how many times the champion's time a picture may take, where nobody says otherwise
LEAST_IMAGES = 200  # on which two models are compared
Splits = tuple[tuple[float, int], ...]  # as TrainConfig and EnsembleConfig have them


@dataclass(frozen=True)
class Verdict:
    """What one check found."""

    check: str
    passed: bool
    found: str

    def __str__(self) -> str:
        return f"{'passed' if self.passed else 'FAILED'}: {self.found}"


@dataclass(frozen=True)
class Candidate:
    """A version with its run, its network, the splits it was trained on, and the digest of the files that it is of."""

    version: ModelVersion
    run: TrackedRun
    splits: Splits
    classifier: Classifier
    digest: str

    @property
    def spec(self) -> DataSpec:
        """What it was trained on."""
        return self.classifier.spec


def open_candidate(client: MlflowClient, version: ModelVersion) -> Candidate:
    """Load a version.

    Raises:
        ModelError: it cannot be loaded, or its run is gone or deleted.
        TrackingError: the server does not answer.
    """
    name = f"version {version.version}"
    run = look_up(lambda: client.get_run(version.run_id or "")) if version.run_id else None
    if run is None:
        raise ModelError(f"{name} cannot be checked: the run that it was registered from is not there")
    require_active(run)
    try:
        saved, digest = load_version(client, version)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    classifier = Classifier(saved.network, saved.spec, name, saved.calibration)
    return Candidate(version, read_run(run), saved.config.splits, classifier, digest)


def examine(candidate: Candidate, data: Dataset) -> list[Verdict]:
    """Every check of a version by itself."""
    return [Verdict(_name(check), *check(candidate, data)) for check in CHECKS]


def compare(candidate: Candidate, champion: Candidate, data: Dataset, slowdown: float) -> list[Verdict]:
    """Every check of a version against the one whose place it is to take.

    Args:
        candidate: the version.
        champion: the one that has the place.
        data: to measure on.
        slowdown: how many times the champion's time a picture may take.
    """
    return [Verdict(_name(check), *check(candidate, champion, data, slowdown)) for check in COMPARISONS]


def fail_comparisons(reason: str) -> list[Verdict]:
    """The verdicts where there is a champion, but none to compare with."""
    return [Verdict(_name(check), False, reason) for check in COMPARISONS]


def _trained_on_this_data(candidate: Candidate, data: Dataset) -> tuple[bool, str]:
    """Like with like: what is measured on is what it was trained on and, where that was published, as published."""
    there, here = candidate.spec, data.spec
    same = there.name == here.name and there.digests == here.digests and there.official == here.official
    digest = f"{there.digests.get('test', '')[:12]}{'' if there.official else ', not as published'}"
    return same, f"trained on {there.title}, test images {digest}; measured on {here.title}"


def _test_accuracy_repeats(candidate: Candidate, data: Dataset) -> tuple[bool, str]:
    logged = candidate.run.value(record.TEST, "accuracy")
    measured = int(_hits(candidate.classifier, data.test).sum()) / len(data.test)
    return measured == logged, f"{measured!r} measured, {logged!r} logged by the run"


def _as_good_on_validation(candidate: Candidate, champion: Candidate, data: Dataset, _: float) -> tuple[bool, str]:
    """On the images that neither, nor a member of either, was trained on: with the same seed, the validation split."""
    unseen = held_out_indices(data.train, [*candidate.splits, *champion.splits])
    if len(unseen) < LEAST_IMAGES:
        return False, f"only {len(unseen)} images are in the validation splits of both; train with the same split_seed"
    images = data.train[unseen]
    mine, theirs = _hits(candidate.classifier, images), _hits(champion.classifier, images)
    lost = compare_hits(mine, theirs)
    return not lost.is_significant, (
        f"{mine.mean():.4f}, champion (version {champion.version.version}) {theirs.mean():.4f}, "
        f"on {len(unseen):,} images; {lost.better} right here only, {lost.worse} there only: "
        f"p = {lost.p:.2g} (McNemar, one-sided; worse if below {SIGNIFICANCE})"
    )


def _fast_enough(candidate: Candidate, champion: Candidate, data: Dataset, slowdown: float) -> tuple[bool, str]:
    """An ensemble of five networks takes five times as long: whether that is too long, its user knows."""
    image = data.test.pixels[0]
    lost, ratio = compare_speed(
        lambda: candidate.classifier.predict(image), lambda: champion.classifier.predict(image), slowdown
    )
    found = f"{ratio:.2f} times the champion's time for a picture; more than {slowdown:g} times in {lost.worse} of"
    way_out = f"; if that is fast enough: --slowdown {math.ceil(ratio)}" if lost.is_significant else ""
    return not lost.is_significant, f"{found} {lost.worse + lost.better} pairs of runs{way_out}"


CHECKS: list[Callable[[Candidate, Dataset], tuple[bool, str]]] = [
    _trained_on_this_data,
    _test_accuracy_repeats,
]
COMPARISONS: list[Callable[[Candidate, Candidate, Dataset, float], tuple[bool, str]]] = [
    _as_good_on_validation,
    _fast_enough,
]


def _name(check: Callable[..., object]) -> str:
    return check.__name__.removeprefix("_")


def _hits(classifier: Classifier, images: Images) -> npt.NDArray[np.bool_]:
    return np.asarray(classifier.predict(images.pixels).classes == images.labels)
