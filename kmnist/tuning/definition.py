"""What a study is: settings that are fixed, ranges that are searched, the method; and how long it may go on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field
from pydantic.fields import FieldInfo

from kmnist.config import LAST, READING, TrainConfig, unknown_setting
from kmnist.errors import SettingError
from kmnist.models.families import DEFAULT_ARCH, FAMILIES
from kmnist.record import Objective
from kmnist.settings import (
    Choice,
    Choices,
    Layers,
    Range,
    Registry,
    SearchRange,
    Settings,
    parse_range,
    shorten,
    to_text,
    unknown_name,
)

#: To search these would change what is measured, not what is trained.
FIXED_ONLY = ("epochs", "valid_fraction", "select_by", "dataset", "init_from", *READING)
TRAIN_LOSS = "train/loss"
#: Each takes a :class:`kmnist.tuning.samplers.Place` to a sampler of Optuna's.
SAMPLERS: Registry[Any] = Registry(
    "sampler", {name: f"kmnist.tuning.samplers:{name}" for name in ("tpe", "random", "grid", "gp", "cmaes", "qmc")}
)
#: Each is a :class:`kmnist.tuning.pruners.Pruner`.
PRUNERS: Registry[Any] = Registry(
    "pruner",
    {
        name: f"kmnist.tuning.pruners:{name.upper()}"
        for name in ("hyperband", "median", "asha", "percentile", "patient", "none")
    },
)


class Method(Settings):
    """How a study searches."""

    sampler: Annotated[str, Choice(SAMPLERS)] = Field("tpe", description="what proposes settings")
    pruner: Annotated[str, Choice(PRUNERS)] = Field("hyperband", description="what ends bad trials early")
    metric: Literal["valid/accuracy", "valid/loss", "train/loss"] = Field(
        "valid/accuracy",
        description="what the best epoch of a trial is judged by: valid/accuracy or valid/loss; train/loss, of the "
        "last epoch, is for seeds alone",
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
        return int(self.settings.get("epochs", TrainConfig.model_fields["epochs"].default))

    @property
    def dataset(self) -> str:
        """As it was asked for."""
        return str(self.settings.get("dataset", TrainConfig.model_fields["dataset"].default))

    @property
    def objective(self) -> Objective:
        """What trials are judged by."""
        return Objective.of(self.method.metric)

    @property
    def archs(self) -> list[str]:
        """The architectures that its trials may have."""
        return _archs(self.search, self.settings)

    def config(self, chosen: Mapping[str, Any]) -> TrainConfig:
        """The settings of a trial, from those that were chosen for it.

        Raises:
            SettingError: they do not go together.
        """
        arch = str(chosen.get("arch", self.settings.get("arch", DEFAULT_ARCH)))
        fixed = {name: text for name, text in self.settings.items() if applies(name, arch)}
        return TrainConfig.parse({**fixed, **chosen, **_selecting(self.method)})

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

    A setting that is given is not searched. Without ``search``, everything else that has a range is.

    Raises:
        SettingError: a name does not exist, a value or a range is bad, or nothing is left to search.
    """
    search_given = given.get("search")
    archs = _archs(search_given if isinstance(search_given, dict) else {}, given)
    known = [*_fields(archs), *Method.model_fields, *Budget.model_fields, "search"]
    if unknown := [name for name in given if name not in known]:
        raise SettingError("\n".join(_unknown(name, archs, known) for name in unknown))
    method = Method.parse({name: given[name] for name in Method.model_fields if name in given})
    budget = Budget.parse({name: given[name] for name in Budget.model_fields if name in given})
    fixed = {name: given[name] for name in _fields(archs) if name in given}
    if "select_by" in fixed:
        raise SettingError(f"select_by={fixed['select_by']}: follows the study's metric; give metric instead")
    search = _search(search_given, fixed, archs)
    if method.metric == TRAIN_LOSS and not set(search) <= {"seed", "subset"}:
        raise SettingError(f"metric={TRAIN_LOSS}: settings are chosen on validation; give valid/accuracy or valid/loss")
    settings: dict[str, str] = {}
    for arch in archs:
        given = {name: fixed[name] for name in fixed if applies(name, arch)}
        config = TrainConfig.parse({**given, "arch": arch, **_selecting(method)})
        settings |= {name: to_text(config[name]) for name in fixed if applies(name, arch)}
        for name, found in search.items():
            if applies(name, arch):
                _check(name, found, arch)
    if "arch" not in search:
        settings["arch"] = archs[0]
    return Definition(settings, search, method), budget


def _selecting(method: Method) -> dict[str, str]:
    """The setting by which a trial keeps the epoch that the study judges it by."""
    return {"select_by": LAST if method.metric == TRAIN_LOSS else method.metric.replace("/", "_")}


def applies(name: str, arch: str) -> bool:
    """Whether an architecture has a setting."""
    return name in TrainConfig.fields(arch)


def _fields(archs: Iterable[str]) -> dict[str, FieldInfo]:
    """The settings of all of some architectures."""
    return {name: field for arch in archs for name, field in TrainConfig.fields(arch).items()}


def _archs(search: Mapping[str, Any], fixed: Mapping[str, Any]) -> list[str]:
    """The architectures that trials may have."""
    found = search.get("arch")
    if found is None:
        return [str(fixed.get("arch", DEFAULT_ARCH))] if "arch" not in search else list(FAMILIES)
    found = parse_range("search.arch", found)
    if not isinstance(found, Choices):
        raise SettingError("search.arch: a range of numbers does not fit; give a list of choices")
    return [str(value) for value in found.values]


def _unknown(name: str, archs: list[str], known: list[str]) -> str:
    if any(name in FAMILIES[arch].settings.model_fields for arch in FAMILIES):
        return unknown_setting(name, archs[0])
    return unknown_name("setting", name, known)


def _search(given: Any, fixed: Mapping[str, Any], archs: list[str]) -> dict[str, SearchRange]:
    fields = _fields(archs)
    defaults = {name: mark for arch in archs for name, mark in TrainConfig.searched(arch).items()}
    if given is None:
        found = {name: mark.over for name, mark in defaults.items() if mark.unasked}
    elif isinstance(given, dict):
        found = {}
        for name, spec in given.items():
            if name not in fields:
                raise SettingError(f"search: {_unknown(str(name), archs, list(fields))}")
            if name in FIXED_ONLY:
                raise SettingError(f"search.{name}: cannot be searched: trials that differ in it cannot be compared")
            if name == "arch" and spec is None:
                spec = list(FAMILIES)
            if spec is None and name not in defaults:
                raise SettingError(f"search.{name}: has no usual range; give one")
            found[name] = defaults[name].over if spec is None else parse_range(f"search.{name}", spec)
    else:
        raise SettingError("search: must be a mapping of settings to ranges, like in experiments/studies/plain.yaml")
    found = {name: found[name] for name in fields if name in found and name not in fixed}
    if not found:
        raise SettingError("nothing is left to search: every setting that is to be searched has a fixed value")
    return found


def _check(name: str, found: SearchRange, arch: str) -> None:
    """See that the setting takes both ends of the range, or each of the choices."""
    kind = TrainConfig.fields(arch)[name].annotation
    match found:
        case Choices():
            values: list[Any] = list(found.values)
        case Range():
            if kind not in (int, float):
                raise SettingError(f"search.{name}: a range of numbers does not fit; give a list of choices")
            values = [kind(found.low), kind(found.high)]
            if kind is int and values != [found.low, found.high]:
                raise SettingError(f"search.{name}={found}: whole numbers are needed")
        case Layers():
            if kind in (int, float, str):
                raise SettingError(f"search.{name}: count and width are for hidden layers; give a list or a range")
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
