"""What a search may choose from: a range of numbers, a list of choices, or a stack of layers."""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from pydantic import Field, model_validator

from kmnist.errors import SettingError
from kmnist.settings.base import Settings, shorten, to_text


class Range(Settings):
    """Numbers from ``low`` to ``high``, both included; whole ones where the setting is whole.

    Attributes:
        low: the lowest.
        high: the highest.
        log: equal chances for equal ratios; needs ``low`` > 0.
        step: distance between neighbours; none: any number, or any whole number.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g}, high={self.high:g}: low must be below high; to fix it, give one value")
        if self.log and self.low <= 0:
            raise ValueError(f"low={self.low:g}, log=true: a logarithmic range must begin above 0")
        if self.log and self.step:
            raise ValueError(f"log=true, step={self.step:g}: a logarithmic range has no steps")
        return self

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' log' if self.log else ''}{f' by {self.step:g}' if self.step else ''}"


class Choices(Settings):
    """One of several values.

    Attributes:
        values: each as a setting takes it; a tuple as text, ``512,256``.
    """

    values: tuple[str | bool | int | float, ...] = Field(min_length=1)

    def __str__(self) -> str:
        return " | ".join(to_text(value) for value in self.values)


class Layers(Settings):
    """How many layers, then the width of each.

    Attributes:
        count: of layers.
        width: of each, chosen for itself.
    """

    count: Range
    width: Range

    def __str__(self) -> str:
        return f"{self.count} layers of {self.width}"


SearchRange: TypeAlias = Range | Choices | Layers


@dataclass(frozen=True)
class Searched:
    """Marks a setting that a study can search, and says where.

    Attributes:
        over: the usual range.
        unasked: whether it is searched if the study is told nothing; else it has to be named in ``search``.
    """

    over: SearchRange
    unasked: bool = True


def parse_range(where: str, spec: Any) -> SearchRange:
    """Read a range as it stands in a study file.

    Args:
        where: its name, for errors.
        spec: a list of choices; or a mapping with ``low`` and ``high`` (``log``, ``step``), or with ``count`` and
            ``width``, each such a mapping.

    Raises:
        SettingError: it is none of these, empty or inverted.
    """
    if isinstance(spec, Range | Choices | Layers):
        return spec
    if isinstance(spec, list | tuple):
        if not spec:
            raise SettingError(f"{where}: the list of choices is empty; name at least one")
        return Choices.parse({"values": [to_text(part) if isinstance(part, list) else part for part in spec]}, where)
    if isinstance(spec, dict) and spec.keys() & {"count", "width"}:
        parts = {name: parse_range(f"{where}.{name}", part) for name, part in spec.items()}
        return Layers.parse(parts, f"{where}.")
    if isinstance(spec, dict) and spec.keys() == {"values"}:
        return Choices.parse(spec, f"{where}.")
    if isinstance(spec, dict):
        return Range.parse(spec, f"{where}: ")
    raise SettingError(
        f"{where}={shorten(spec)}: must be a list of choices ([64, 128]) or a range ({{low: 0.0001, high: 0.01, "
        "log: true}); to fix the setting, give it outside of `search`"
    )
