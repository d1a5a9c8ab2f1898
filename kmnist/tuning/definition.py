"""What a study is: settings that are fixed, ranges that are searched, the method; and how long it may go on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.ranges import Choices, Layers, Range, SearchRange, parse_range
from kmnist.settings import Settings, shorten, to_text, unknown_name

#: To search these would change what is measured, not what is trained.
FIXED_ONLY = ("epochs", "valid_fraction", "select_by", "dataset")


class Method(Settings):
    """How a study searches."""

    sampler: Literal["tpe", "random", "grid", "gp", "cmaes", "qmc"] = Field(
        "tpe", description="what proposes settings: tpe, random, grid, gp, cmaes or qmc"
    )
    pruner: Literal["hyperband", "median", "asha", "percentile", "patient", "none"] = Field(
        "hyperband", description="what ends bad trials early: hyperband, median, asha, percentile, patient or none"
    )
    metric: Literal["valid/accuracy", "valid/loss"] = Field(
        "valid/accuracy", description="what the best epoch of a trial is judged by: valid/accuracy or valid/loss"
    )
    sampler_seed: int = Field(0, ge=0, lt=2**32, description="seed of the sampler (--seed is that of the trainings)")


class Budget(Settings):
    """How long a study may go on: all its commands, workers and machines together."""

    trials: int = Field(50, ge=1, le=100_000, description="trials of the whole study")
    timeout: float = Field(0, ge=0, description="seconds that may be worked on the study; 0: no limit")
    max_epochs_total: int = Field(0, ge=0, description="epochs of all trials together; 0: no limit")
    confirm_seeds: int = Field(
        3, ge=0, le=100, description="seeds that the best settings are trained again with at the end"
    )


@dataclass(frozen=True)
class Definition:
    """What makes a study the same study.

    Attributes:
        settings: those that are fixed, as text; the rest has its default.
        search: setting -> where it is searched, in the order of ``TrainConfig``.
        method: how.
        confirms: the name of the study whose best settings this one trains again; its trials are evaluated on test.
    """

    settings: dict[str, str]
    search: dict[str, SearchRange]
    method: Method
    confirms: str | None = None

    @property
    def epochs(self) -> int:
        """Of a trial that is not pruned."""
        given = {"epochs": self.settings["epochs"]} if "epochs" in self.settings else {}
        return TrainConfig.parse(given).epochs

    @property
    def maximise(self) -> bool:
        """Whether more is better."""
        return self.method.metric == "valid/accuracy"

    def config(self, chosen: Mapping[str, Any]) -> TrainConfig:
        """The settings of a trial, from those that were chosen for it.

        Raises:
            SettingError: they do not go together.
        """
        return TrainConfig.parse({**self.settings, **chosen, "select_by": self.method.metric.replace("/", "_")})

    def flat(self) -> dict[str, Any]:
        """As it stands in a study file."""
        search = {name: _plain(found) for name, found in self.search.items()}
        return {**self.settings, **self.method.as_text(), "search": search}

    def to_json(self) -> str:
        """For the study's storage."""
        return json.dumps({"confirms": self.confirms, **self.flat()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises:
            SettingError: it is something else.
        """
        try:
            flat = json.loads(text)
            confirms = flat.pop("confirms")
            if not isinstance(confirms, str | None):
                raise ValueError(f"confirms={shorten(confirms)}")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise SettingError(f"{shorten(text)}: must be the definition of a study as JSON ({error})") from None
        found = parse(flat)[0]
        return cls(found.settings, found.search, found.method, confirms)

    def differences(self, other: "Definition") -> list[str]:
        """A line for each part in which ``other`` differs, for example ``epochs: 20 there, 10 here``."""
        mine, theirs = self.as_params(), other.as_params()
        names = [*mine, *(name for name in theirs if name not in mine)]
        absent = "not given"
        return [
            f"{name}: {mine.get(name, absent)} there, {theirs.get(name, absent)} here"
            for name in names
            if mine.get(name) != theirs.get(name)
        ]

    def as_params(self) -> dict[str, str]:
        """As parameters of the study's run: what is fixed, the method, and each range as ``search.name``."""
        search = {f"search.{name}": str(found) for name, found in self.search.items()}
        return {**self.settings, **self.method.as_text(), **search}


def parse(given: Mapping[str, Any]) -> tuple[Definition, Budget]:
    """Read a study from what a user gave: one mapping of training settings, method, budget, and ``search``.

    A setting that is given is not searched. Without ``search``, everything else that has a range in ``TrainConfig`` is.

    Raises:
        SettingError: a name does not exist, a value or a range is bad, or nothing is left to search.
    """
    known = [*TrainConfig.model_fields, *Method.model_fields, *Budget.model_fields, "search"]
    if unknown := [name for name in given if name not in known]:
        raise SettingError("\n".join(unknown_name("setting", name, known) for name in unknown))
    method = Method.parse({name: given[name] for name in Method.model_fields if name in given})
    budget = Budget.parse({name: given[name] for name in Budget.model_fields if name in given})
    fixed = {name: given[name] for name in TrainConfig.model_fields if name in given}
    if "select_by" in fixed:
        raise SettingError(f"select_by={fixed['select_by']}: follows the study's metric; give metric instead")
    search = _search(given.get("search"), fixed)
    archs = _choices_of_arch(search, fixed)
    for name in search:
        if not any(applies(name, arch) for arch in archs):
            raise SettingError(f"search.{name}: arch={archs[0]} has none; leave it out, or give another arch")
    for arch in archs:
        config = TrainConfig.parse({**fixed, "arch": arch})
        for name, found in search.items():
            if applies(name, arch):
                _check(name, found, arch)
    settings = {name: to_text(getattr(config, name)) for name in fixed}
    if "arch" not in search:
        settings["arch"] = config.arch
    return Definition(settings, search, method), budget


def applies(name: str, arch: str) -> bool:
    """Whether an architecture has a setting."""
    mark = TrainConfig.searched().get(name)
    return mark is None or mark.arch in (None, arch)


def _search(given: Any, fixed: Mapping[str, Any]) -> dict[str, SearchRange]:
    defaults = TrainConfig.searched()
    arch = str(fixed.get("arch", TrainConfig.model_fields["arch"].default))
    if given is None:
        found = {name: mark.over for name, mark in defaults.items() if applies(name, arch)}
    elif isinstance(given, dict):
        found = {}
        for name, spec in given.items():
            if name not in TrainConfig.model_fields:
                raise SettingError(f"search: {unknown_name('setting', str(name), list(TrainConfig.model_fields))}")
            if name in FIXED_ONLY:
                raise SettingError(f"search.{name}: cannot be searched: trials that differ in it cannot be compared")
            if spec is None and name not in defaults:
                raise SettingError(f"search.{name}: has no usual range; give one")
            found[name] = defaults[name].over if spec is None else parse_range(f"search.{name}", spec)
    else:
        raise SettingError("search: must be a mapping of settings to ranges, like in experiments/studies/plain.yaml")
    found = {name: found[name] for name in TrainConfig.model_fields if name in found and name not in fixed}
    if not found:
        raise SettingError("nothing is left to search: every setting that is to be searched has a fixed value")
    return found


def _choices_of_arch(search: Mapping[str, SearchRange], fixed: Mapping[str, Any]) -> list[str]:
    found = search.get("arch")
    if isinstance(found, Choices):
        return [str(value) for value in found.values]
    return [str(fixed.get("arch", TrainConfig.model_fields["arch"].default))]


def _check(name: str, found: SearchRange, arch: str) -> None:
    """See that the setting takes both ends of the range, or each of the choices."""
    match found:
        case Choices():
            values: list[Any] = list(found.values)
        case Range():
            kind = TrainConfig.model_fields[name].annotation
            if kind not in (int, float):
                raise SettingError(f"search.{name}: a range of numbers does not fit; give a list of choices")
            values = [kind(found.low), kind(found.high)]
            if kind is int and values != [found.low, found.high]:
                raise SettingError(f"search.{name}={found}: whole numbers are needed")
        case Layers():
            if name != "hidden":
                raise SettingError(f"search.{name}: count and width are for hidden; give a list or a range")
            values = [[int(found.width.low)] * int(found.count.low), [int(found.width.high)] * int(found.count.high)]
    for value in values:
        try:
            TrainConfig.parse({"arch": arch, name: value})
        except SettingError as error:
            raise SettingError(f"search.{error}") from None


def _plain(found: SearchRange) -> Any:
    if isinstance(found, Choices):
        return list(found.values)
    return found.model_dump(exclude_defaults=True)
