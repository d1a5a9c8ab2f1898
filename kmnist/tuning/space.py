"""The search space: from ranges to what Optuna is asked, and back to settings. Conditional parts are asked when met."""

from math import prod
from typing import Any

from optuna import Trial

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.settings import Choices, Layers, Range, SearchRange
from kmnist.tuning.definition import Definition, applies


def suggest(trial: Trial, definition: Definition) -> TrainConfig:
    """Let the study's sampler choose the settings of a trial.

    A setting that the architecture does not have is not asked for; of layers, the number, then each width. The names
    of the parameters are those of the settings, and ``hidden_layers``, ``hidden_1``, ``hidden_2``, ...

    Raises:
        SettingError: what was chosen does not go together.
    """
    chosen: dict[str, Any] = {}
    arch = definition.archs[0]
    for name, found in definition.search.items():  # arch is first: it decides what else there is
        if applies(name, arch):
            chosen[name] = _ask(trial, name, found, _is_whole(name, arch))
        if name == "arch":
            arch = chosen[name]
    return definition.config(chosen)


def grid(definition: Definition, trials: int) -> dict[str, list[Any]]:
    """Every value of every parameter, for the grid sampler.

    Raises:
        SettingError: a range has no steps, the space is conditional, or has more points than the budget has trials.
    """
    for name in definition.search:
        if not all(applies(name, arch) for arch in definition.archs):
            raise SettingError(
                f"sampler=grid: {name} depends on arch, and a grid cannot; search one architecture at a time"
            )
    points = {name: _values(name, found, definition.archs[0]) for name, found in definition.search.items()}
    size = prod(len(values) for values in points.values())
    if size > trials:
        sizes = " x ".join(f"{name} {len(values)}" for name, values in points.items())
        raise SettingError(
            f"the grid has {size:,} points ({sizes}), trials={trials:,}: give --trials {size} or a smaller grid"
        )
    return points


def _is_whole(name: str, arch: str) -> bool:
    return TrainConfig.fields(arch)[name].annotation is int


def _ask(trial: Trial, name: str, found: SearchRange, whole: bool) -> Any:
    match found:
        case Choices():
            return trial.suggest_categorical(name, list(found.values))
        case Range() if whole:
            return _ask_whole(trial, name, found)
        case Range():
            return trial.suggest_float(name, found.low, found.high, log=found.log, step=found.step)
        case Layers():
            count = _ask_whole(trial, f"{name}_layers", found.count)
            return [_ask_whole(trial, f"{name}_{place}", found.width) for place in range(1, count + 1)]


def _ask_whole(trial: Trial, name: str, found: Range) -> int:
    return trial.suggest_int(name, int(found.low), int(found.high), log=found.log, step=int(found.step or 1))


def _values(name: str, found: SearchRange, arch: str) -> list[Any]:
    match found:
        case Choices():
            return list(found.values)
        case Range(step=float() as step):
            steps = int((found.high - found.low) / step + 1e-9)  # 0.6 / 0.2 is 2.9999999999999996
            values = [round(found.low + place * step, 12) for place in range(steps + 1)]
            return [int(value) for value in values] if _is_whole(name, arch) else values
        case Layers():
            raise SettingError(f'sampler=grid: search.{name}={found} has no grid; list whole nets: ["512,256", "512"]')
        case _:
            raise SettingError(f"sampler=grid: search.{name}={found} has no steps; give a list, or a step")
