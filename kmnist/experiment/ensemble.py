"""Trained members become one model, which is measured and written down as any other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from kmnist.calibration import UNCALIBRATED, LogProbabilities
from kmnist.config import TrainConfig
from kmnist.data import Dataset, DataSpec, Images, held_out_indices
from kmnist.ensembles.config import MOST_MEMBERS, EnsembleConfig, Kind
from kmnist.ensembles.diversity import disagreement
from kmnist.ensembles.network import Ensemble, Shifted
from kmnist.errors import SettingError
from kmnist.experiment.ensemble_report import Built, Judgement, MemberRow
from kmnist.metrics import score
from kmnist.metrics.calibrate import calibrate
from kmnist.network import SavedNetwork
from kmnist.record import TrackedRun
from kmnist.training.evaluate import evaluate

#: Images that no member was trained on: for probabilities to be calibrated on them.
LEAST_HELD_OUT = 200


@dataclass(frozen=True, eq=False)
class Member:
    """A trained network that is to be one of several.

    Attributes:
        run: that it was trained in.
        saved: the network.
        model_id: what the tracking server knows it as.
    """

    run: TrackedRun
    saved: SavedNetwork
    model_id: str

    @property
    def config(self) -> TrainConfig:
        """Its settings.

        Raises:
            SettingError: it is an ensemble.
        """
        if isinstance(self.saved.config, EnsembleConfig):
            raise SettingError(
                f"members: run {self.run.run_id} is an ensemble itself ({self.saved.config.arch}); name its members"
            )
        return self.saved.config


def require_members(members: Sequence[Member], tta: int) -> DataSpec:
    """See that members can be one model; gives what they were trained on.

    Raises:
        SettingError: they are too few or too many, one is named twice, or they were not trained on the same data set.
    """
    if len(members) < 2 and not (members and tta):
        raise SettingError(
            f"members: {len(members)} are too few; name two at least, or give --tta 1, to ask one model several times"
        )
    if len(members) > MOST_MEMBERS:
        raise SettingError(f"members: {len(members)} are too many; an ensemble has at most {MOST_MEMBERS}")
    first = members[0]
    for place, member in enumerate(members):
        assert member.config  # which sees that it is no ensemble
        if any(member.run.run_id == other.run.run_id for other in members[:place]):
            raise SettingError(f"members: run {member.run.run_id} is named twice; name it once")
        here, there = member.saved.spec, first.saved.spec
        if (here.classes, here.shape, here.digests) != (there.classes, there.shape, there.digests):
            raise SettingError(
                f"members: run {member.run.run_id} was trained on {_words(here)}, run {first.run.run_id} on "
                f"{_words(there)}; members of one model are trained on the same images"
            )
    return first.saved.spec


def held_out(members: Sequence[Member], data: Dataset) -> Images:
    """The training images that no member was trained on: what all of them kept for validation. There may be none."""
    return data.train[held_out_indices(data.train, [split for member in members for split in member.config.splits])]


def answers(members: Sequence[Member], images: Images, tta: int) -> LogProbabilities:
    """What each member says of images: log-probabilities (M, N, C)."""
    return np.stack([evaluate(shifted(member.saved.network, tta), images)[1].numpy() for member in members])


def shifted(network: nn.Module, tta: int) -> nn.Module:
    """The network, with test-time augmentation where it is asked for."""
    return Shifted(network, tta) if tta else network


def build_ensemble(
    kind: Kind,
    members: Sequence[Member],
    combination: nn.Module,
    tta: int,
    weights: Sequence[float] | None,
    valid: Images,
) -> Built:
    """Make one model of members, and measure it on images that none of them was trained on, where there are some.

    Args:
        kind: of ensemble.
        members: that :func:`require_members` has found to fit.
        combination: what makes one answer of theirs.
        tta: see ``EnsembleConfig``.
        weights: of the members, where they have some.
        valid: from :func:`held_out`.
    """
    network = Ensemble([member.saved.network for member in members], combination, tta).eval()
    config = EnsembleConfig(kind, tta, tuple(member.config for member in members))
    shares: Sequence[float | None] = weights or [None] * len(members)
    rows = [MemberRow(member.run, member.config, share) for member, share in zip(members, shares)]
    judgement, calibration = None, UNCALIBRATED
    if len(valid):
        told, labels = answers(members, valid, tta), torch.from_numpy(valid.labels)
        with torch.no_grad():
            combined = combination.eval()(torch.from_numpy(told))
        found = [score(torch.from_numpy(of_one), labels) for of_one in told]
        judgement = Judgement(valid, score(combined, labels), found, disagreement(told))
        if len(valid) >= LEAST_HELD_OUT:
            calibration = calibrate(combined.numpy(), valid)
    return Built(SavedNetwork(network, config, members[0].saved.spec, calibration), rows, judgement)


def _words(spec: DataSpec) -> str:
    return f"{spec.title} ({len(spec.classes)} classes, training images {spec.digests.get('train', '')[:12]})"
