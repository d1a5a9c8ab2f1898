"""A network as two files that hold data only: its weights (safetensors), and what builds it (JSON).

Whoever loads a model of ours reads these and nothing else of it. The format of the weights is
https://github.com/huggingface/safetensors: names, shapes and numbers, of which none is ever evaluated.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kmnist.calibration import UNCALIBRATED, Calibration
from kmnist.config import TrainConfig
from kmnist.data.spec import DataSpec
from kmnist.ensembles.config import EnsembleConfig
from kmnist.ensembles.network import Ensemble, empty_combination
from kmnist.errors import ModelError, SettingError, in_one_line
from kmnist.models.build import build
from kmnist.models.normalise import normalisation

WEIGHTS = "network/weights.safetensors"
SETTINGS = "network/settings.json"
FORMAT = 2
MOST_SETTINGS_BYTES = 65_536  # ours have about 2,000, and of an ensemble as many for each member
MOST_WEIGHTS_BYTES = 4 * 1024**3

Config: TypeAlias = TrainConfig | EnsembleConfig


@dataclass(frozen=True)
class SavedNetwork:
    """A network and what it is.

    Attributes:
        network: in evaluation mode, on the CPU: raw pixels (B, H, W) -> log-probabilities (B, C).
        config: the settings that it, or each of its members, was trained with.
        spec: of the data that it was trained on.
        calibration: of its probabilities.
    """

    network: nn.Module
    config: Config
    spec: DataSpec
    calibration: Calibration = UNCALIBRATED


def save_network(saved: SavedNetwork, folder: Path) -> None:
    """Write ``folder/network/``: the weights, and all else that a network is.

    Raises:
        OSError: it cannot be written.
    """
    (folder / WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in saved.network.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))  # its own way to a file would let nobody else read it
    settings = {
        "format": FORMAT,
        **_config_json(saved.config),
        "data": saved.spec.to_json(),
        "calibration": saved.calibration.to_json(),
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_network(folder: Path) -> SavedNetwork:
    """Build the network that :func:`save_network` wrote into ``folder``.

    Before memory is taken for it, its settings are validated, and the names and shapes of the weights are compared with
    those that a network of these settings has. So nothing can be larger than the file that it comes from.

    Raises:
        ModelError: a file is missing, damaged, too large, a link, or the two do not belong together.
    """
    config, spec, calibration = _load_settings(_regular_file(folder, SETTINGS, MOST_SETTINGS_BYTES))
    weights = _load_weights(_regular_file(folder, WEIGHTS, MOST_WEIGHTS_BYTES), config, spec)
    return SavedNetwork(build_from(config, spec, weights), config, spec, calibration)


def build_from(config: Config, spec: DataSpec, weights: dict[str, Tensor]) -> nn.Module:
    """A network with weights that it once had, in evaluation mode; what it normalises by is among them."""
    network = empty_network(config, spec)
    network.load_state_dict(weights)
    return network.eval()


def empty_network(config: Config, spec: DataSpec) -> nn.Module:
    """A network with the layers of one that was trained so, that of its pixels included, but none of its weights."""
    if isinstance(config, EnsembleConfig):
        members = [empty_network(member, spec) for member in config.members]
        return Ensemble(members, empty_combination(config.kind, len(members), len(spec.classes)), config.tta)
    return build(config.net, spec, normalise=normalisation(config.normalise))


def _config_json(config: Config) -> dict[str, Any]:
    return {"ensemble": config.to_json()} if isinstance(config, EnsembleConfig) else {"settings": config.as_text()}


def _config_from(content: dict[str, Any]) -> Config:
    if "ensemble" in content:
        return EnsembleConfig.from_json(content["ensemble"])
    return TrainConfig.parse(content["settings"])


def _regular_file(folder: Path, name: str, most_bytes: int) -> Path:
    path = folder / name
    if path.is_symlink() or path.parent.is_symlink():
        raise ModelError(f"{name} is a link: a model's files lie in its own folder")
    if not path.is_file():
        raise ModelError(
            f"it has no file {name}: it was not saved by this version of kmnist, which reads nothing else of a model, "
            "because a graph or a pickle could run code here. Train it anew, or load it at your own risk with MLflow's "
            "own tools"
        )
    if (size := path.stat().st_size) > most_bytes:
        raise ModelError(f"{name} has {size:,} bytes: at most {most_bytes:,} are read")
    return path


def _load_settings(path: Path) -> tuple[Config, DataSpec, Calibration]:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or not isinstance(content.get("ensemble", content.get("settings")), dict):
            raise ValueError('must be {"format": ..., "settings": {...}}')
        if content.get("format") != FORMAT:
            raise ValueError(f"format {content.get('format')!r}: this version of kmnist reads format {FORMAT}")
        calibration = Calibration.from_json(content.get("calibration"))
        return _config_from(content), DataSpec.from_json(content.get("data")), calibration
    except (OSError, ValueError, RecursionError, SettingError) as error:
        raise _damaged(SETTINGS, error) from error


def _load_weights(path: Path, config: Config, spec: DataSpec) -> dict[str, Tensor]:
    with torch.device("meta"):  # shapes and types, without memory
        expected = {
            name: (weight.shape, weight.dtype) for name, weight in empty_network(config, spec).state_dict().items()
        }
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _compare(shapes, {name: shape for name, (shape, _) in expected.items()})
            weights = {name: file.get_tensor(name) for name in expected}
        _compare({name: x.dtype for name, x in weights.items()}, {name: dtype for name, (_, dtype) in expected.items()})
    except (OSError, ValueError, SafetensorError) as error:
        raise _damaged(WEIGHTS, error) from error
    return weights


def _compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"{name[:80]}: {_shown(found.get(name))} in the file, {_shown(expected.get(name))} by its settings"
            )


def _shown(part: torch.Size | torch.dtype | None) -> str:
    return "nothing" if part is None else str(tuple(part) if isinstance(part, torch.Size) else part)[:80]


def _damaged(name: str, error: Exception) -> ModelError:
    return ModelError(f"{name} is damaged or of another version of kmnist ({in_one_line(error)[:300]})")
