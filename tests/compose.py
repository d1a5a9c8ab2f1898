"""docker-compose.yml as Compose reads it: its variables filled in, and each service as what would be started."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"


class MissingVariableError(Exception):
    """A variable that the file demands has no value; Compose refuses every command then."""


@dataclass(frozen=True)
class Service:
    """A service, as a container of it would be started."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str] | None
    ports: list[str]
    volumes: list[str]
    profiles: list[str]
    settings: dict[str, Any]


def read_services(variables: Mapping[str, str]) -> dict[str, Service]:
    """The services of the file.

    Raises:
        MissingVariableError: a variable that must be set is not among ``variables``.
    """
    content = _filled(yaml.safe_load(FILE.read_text()), variables)
    return {name: _service(name, settings, variables) for name, settings in content["services"].items()}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """``$$``, ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and nested ones, as the specification has them.

    Its other forms are not used in the file, and refused here.
    """
    before, dollar, rest = text.partition("$")
    if not dollar:
        return before
    if rest.startswith("$"):
        return before + "$" + interpolate(rest[1:], variables)
    end = _end_of_braces(rest)
    expression = re.fullmatch(r"(\w+)(?::([-?])(.*))?", rest[1:end])
    assert expression, f"{text}: not a form of variable that this reads"
    name, operator, argument = expression.groups()
    value = variables.get(name, "")
    if not value and operator == "?":
        raise MissingVariableError(f"required variable {name} is missing a value: {argument}")
    if not value and operator == "-":
        value = interpolate(argument, variables)
    return before + value + interpolate(rest[end + 1 :], variables)


def _end_of_braces(text: str) -> int:
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0 and place:
            return place
    raise AssertionError(f"{text}: a brace is not closed")


def _filled(part: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        return {name: _filled(value, variables) for name, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, variables) for value in part]
    return interpolate(part, variables) if isinstance(part, str) else part


def _service(name: str, settings: dict[str, Any], variables: Mapping[str, str]) -> Service:
    environment = settings.get("environment", {})
    given = {variable: variables.get(variable) if value is None else value for variable, value in environment.items()}
    health = settings.get("healthcheck", {}).get("test")
    return Service(
        name=name,
        command=_words(settings.get("entrypoint", [])) + _words(settings.get("command", [])),
        environment={variable: str(value) for variable, value in given.items() if value is not None},
        health=_health_command(health) if health else None,
        ports=settings.get("ports", []),
        volumes=settings.get("volumes", []),
        profiles=settings.get("profiles", []),
        settings=settings,
    )


def _words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def _health_command(test: str | list[str]) -> list[str]:
    if isinstance(test, str):
        return ["sh", "-c", test]
    assert test[0] == "CMD"
    return test[1:]
