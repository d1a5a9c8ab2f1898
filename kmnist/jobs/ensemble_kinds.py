"""Bagging, boosting and stacking: which members are trained on what, and what makes one answer of theirs.

To add a kind: a function here and a line in ``KINDS``; what it makes of the members' answers is in ``ensembles``.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from kmnist.config import READING, TrainConfig
from kmnist.data import Dataset, Images, fold_indices
from kmnist.ensembles.config import BAG, BOOST, MOST_MEMBERS, STACK, Kind
from kmnist.ensembles.network import Mean, Samme
from kmnist.ensembles.samme import weigh
from kmnist.ensembles.stacking import fit_stack
from kmnist.errors import SettingError, StudyError
from kmnist.experiment import prepare
from kmnist.experiment.ensemble import Member, answers
from kmnist.jobs.course import identity
from kmnist.jobs.members import Trained, Training, fetch_member
from kmnist.training.subset_settings import ALL, BOOTSTRAP, all_but_fold
from kmnist.tuning.confirm import following


@dataclass(frozen=True)
class Plan:
    """An ensemble whose members are to be trained.

    Attributes:
        kind: of ensemble.
        configs: what members are trained with, each with so many seeds; all split the images as the first one does.
        members: how many, of each config.
        tta: see ``EnsembleConfig``.
        folds: of a stack.
    """

    kind: Kind
    configs: tuple[TrainConfig, ...]
    members: int
    tta: int = 0
    folds: int = 5

    def __post_init__(self) -> None:
        if any(config.subset != ALL for config in self.configs):
            raise SettingError("subset: which images a member learns from follows from the ensemble; leave it out")
        first = self.configs[0]
        same = ("dataset", "valid_fraction", *READING)
        if any(one[name] != first[name] for one in self.configs for name in same):
            raise SettingError(f"{', '.join(same)}: must be the same for all members of an ensemble")
        if self.kind == BOOST and len(self.configs) > 1:
            raise SettingError(f"experiment: boosting goes on with one network; {len(self.configs)} were given")
        if not 2 <= self.members * len(self.configs) <= MOST_MEMBERS:
            made = self.members * len(self.configs)
            raise SettingError(f"members={self.members}: makes {made} members; an ensemble has 2 to {MOST_MEMBERS}")

    @property
    def valid_fraction(self) -> float:
        """Of the training images, kept by all members."""
        return self.configs[0].valid_fraction

    @property
    def dataset(self) -> str:
        """As it was asked for."""
        return self.configs[0].dataset

    @property
    def split_seed(self) -> int:
        """Of the split of all members."""
        return self.configs[0].splits[0][1]

    def config(self, number: int, subset: str = ALL) -> TrainConfig:
        """What members are trained with, but for their seeds."""
        return TrainConfig.parse({**self.configs[number].as_text(), "split_seed": self.split_seed, "subset": subset})

    def as_params(self) -> dict[str, str]:
        """As parameters of the ensemble's run; of several networks the settings are at the members."""
        about = {"ensemble": self.kind, "members": str(self.members), "tta": str(self.tta)}
        folds = {"folds": str(self.folds)} if self.kind == STACK else {}
        return {**about, **folds, **(self.config(0).as_text() if len(self.configs) == 1 else {})}

    def study_name(self, number: int, data: Dataset, where: str) -> str:
        """Of the study of some of its members: the same plan finds it again."""
        about = [self.kind, self.members, self.tta, self.folds, number, [one.as_text() for one in self.configs]]
        digest = hashlib.sha256(json.dumps([*about, identity(data), where]).encode()).hexdigest()[:12]
        return f"{self.kind}-{self.members}.{self.configs[number].arch}.{digest}"


@dataclass(frozen=True)
class Made:
    """Members, and what makes one answer of theirs.

    Attributes:
        members: in the order that the combination takes them in.
        combination: log-probabilities (M, N, C) -> (N, C).
        weights: of the members, where they have some.
        remarks: what else is to be told: who was left out, and why.
    """

    members: list[Member]
    combination: nn.Module
    weights: Sequence[float] | None
    remarks: list[str] = field(default_factory=list)


def bag(plan: Plan, training: Training, names: Sequence[str]) -> Made:
    """L. Breiman, "Bagging predictors", Machine Learning 24 (1996): each member learns from a bootstrap sample."""
    members, remarks = [], list[str]()
    for number, name in enumerate(names):
        config = plan.config(number, BOOTSTRAP)
        trained = training(name, config, following(config.seed, range(plan.members)))
        members += [fetch_member(training.course.client, run_id) for run_id in trained.runs.values()]
        remarks += _told(trained)
    _require(members, remarks)
    return Made(members, Mean([1.0] * len(members)), [1 / len(members)] * len(members), remarks)


def boost(plan: Plan, training: Training, names: Sequence[str]) -> Made:
    """One member after the other, by SAMME: each learns most from the images that those before it get wrong."""
    config, [name] = plan.config(0), names
    learnt = _learnt(config, training.data)
    images = np.full(len(learnt), 1 / len(learnt))
    members, weights, remarks = list[Member](), list[float](), list[str]()
    for number, seed in enumerate(following(config.seed, range(plan.members)), start=1):
        counts = None if number == 1 else (images * len(learnt)).astype(np.float32)
        trained = training(f"{name}.member-{number}", config, [seed], weights=counts)
        if not trained.runs:
            remarks += [*_told(trained), f"Boosting ends with member {number - 1}, for the next one failed."]
            break
        [run_id] = trained.runs.values()
        member = fetch_member(training.course.client, run_id)
        wrong = answers([member], learnt, plan.tta)[0].argmax(axis=1) != learnt.labels
        after = weigh(images, wrong, len(training.data.spec.classes))
        if after.weight is None:
            remarks.append(
                f"Member {number} was left out: it is wrong on {after.error:.1%} of what counts, as guesses are."
            )
            break
        members.append(member)
        weights.append(after.weight)
        if after.images is None:
            remarks.append(f"Boosting ends with member {number}, which makes no error on the training images.")
            break
        images = after.images
    _require(members, remarks)
    return Made(members, Samme(weights), weights, remarks)


def stack(plan: Plan, training: Training, names: Sequence[str]) -> Made:
    """Members learn from all images; what their answers mean is learnt from twins that were not shown the image.

    For each member there is a twin a fold, which learns from all but that fold and answers for it.
    """
    parts = [all_but_fold(number, plan.folds) for number in range(1, plan.folds + 1)]
    learnt = _learnt(plan.config(0), training.data)
    folds = fold_indices(learnt, plan.folds, plan.split_seed)
    members, told, remarks = [], [], list[str]()
    for number, name in enumerate(names):
        config = plan.config(number)
        seeds = following(config.seed, range(plan.members))
        trained = training(name, config, seeds, subsets=(ALL, *parts))
        remarks += _told(trained)
        for seed in seeds:
            runs = [trained.runs[seed, part] for part in (ALL, *parts) if (seed, part) in trained.runs]
            if len(runs) <= len(parts):
                continue  # one of its parts is among those that are told of
            member, *twins = (fetch_member(training.course.client, run_id) for run_id in runs)
            of_member = np.empty((len(learnt), len(training.data.spec.classes)), np.float32)
            for twin, fold in zip(twins, folds):
                of_member[fold] = answers([twin], learnt[fold], plan.tta)[0]
            members.append(member)
            told.append(of_member)
    _require(members, remarks)
    return Made(members, fit_stack(np.stack(told), learnt.labels), None, remarks)


KINDS: Mapping[Kind, Callable[[Plan, Training, Sequence[str]], Made]] = {BAG: bag, BOOST: boost, STACK: stack}


def _learnt(config: TrainConfig, data: Dataset) -> Images:
    return prepare(config, data).train


def _told(trained: Trained) -> list[str]:
    return [f"Left out: {line}." for line in trained.left_out]


def _require(members: Sequence[Any], remarks: Sequence[str]) -> None:
    if len(members) < 2:
        why = " ".join(remarks) or "look at their runs for the reasons"
        raise StudyError(f"an ensemble has two members at least, and there is {len(members) or 'none'}. {why}")
