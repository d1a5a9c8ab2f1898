"""``Settings``: a frozen pydantic model read from text, whose errors a person can act on."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from kmnist.errors import SettingError
from kmnist.settings.synonyms import MEANT

MOST_SHOWN = 200  # characters of a value in an error


class Settings(BaseModel):
    """Base of every group of settings. Immutable; build one with :meth:`parse` to get readable errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, settings: Mapping[str, Any], where: str = "") -> Self:
        """Build from text or values, for example ``{"learning_rate": "1e-3"}``.

        Args:
            settings: name -> value or text.
            where: put before each line of an error, for example ``search.learning_rate.``.

        Raises:
            SettingError: one line for each setting that is unknown, malformed or out of its range.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = {problem["loc"][:1]: problem for problem in reversed(error.errors())}  # one line a setting
            lines = [where + _explain(cls, problem) for problem in reversed(first.values())]
            raise SettingError("\n".join(lines)) from None

    def as_text(self) -> dict[str, str]:
        """Each setting as the text that :meth:`parse` reads back to an equal value."""
        return {name: to_text(getattr(self, name)) for name in type(self).model_fields}


def to_text(value: Any) -> str:
    """A setting's value as text: tuples joined by commas, floats as Python's repr (YAML reads ``1e-3`` as a string)."""
    if isinstance(value, tuple | list):
        return ",".join(str(part) for part in value)
    return repr(value) if isinstance(value, float) else str(value)


def shorten(value: Any) -> str:
    """A value for an error: its beginning, if it is long."""
    try:
        text = to_text(value)
    except ValueError:  # Python writes out no number of more than 4,300 digits
        return f"a number of {value.bit_length():,} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text):,} characters)"


def as_flags(settings: Mapping[str, str]) -> str:
    """Settings as a person types them: ``--learning-rate 0.001``."""
    return " ".join(f"--{name.replace('_', '-')} {text}" for name, text in settings.items())


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """A line about a name that does not exist, with one that does: of the same meaning, or else the nearest."""
    meant = MEANT.get(name.lower().replace("-", "_"))
    near = [meant] if meant in known else get_close_matches(name, known, n=1)
    return f"unknown {kind} {shorten(name)!r}; " + (
        f"did you mean {near[0]!r}?" if near else f"the {kind}s are: {', '.join(known)}"
    )


def _explain(settings: type[BaseModel], problem: Any) -> str:
    """One problem found by pydantic as a line that shows the value, the rule and the way out."""
    if not problem["loc"]:  # a rule between several settings names them itself
        return str(problem["msg"].removeprefix("Value error, "))
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return unknown_name("setting", name, list(settings.model_fields))
    if problem["type"] == "missing":
        return f"{name}: must be given"
    value = problem["input"]
    hint = ""
    if problem["type"] == "literal_error" and isinstance(value, str):
        choices = [part for part in problem["ctx"]["expected"].split("'") if part.isidentifier() and part != "or"]
        near = get_close_matches(value, choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
    rule = problem["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    rule = rule.replace("Input should have ", "must have ", 1).replace("Tuple should have ", "must have ", 1)
    return f"{name}={shorten(value)}: {rule}{hint}"
