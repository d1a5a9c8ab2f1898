"""A run's checkpoint: one file that is either the old state or the new one, never half of it, and holds no pickle.

The format is safetensors (https://github.com/huggingface/safetensors): the weights, the best weights and the state of
the optimisation by name, and everything else as JSON in the file's metadata. No generator states are kept: all
randomness of an epoch is a function of the seed and the epoch's number (see ``training/fit.py``).
"""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from kmnist.config import TrainConfig
from kmnist.data.spec import DataSpec
from kmnist.durable import replace_file
from kmnist.errors import CheckpointError
from kmnist.metrics import Counts, Metrics
from kmnist.models.transfer import freeze, lower_rate
from kmnist.network import empty_network
from kmnist.settings import shorten
from kmnist.training.compute import Compute
from kmnist.training.fit import Epoch, TrainState
from kmnist.training.optimisation import Optimisation

FILE_NAME = "checkpoint.safetensors"
VERSION = 2  # of the form; 1 had no number


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that the rest of a run depends on, after its last whole epoch.

    Attributes:
        run_id: the tracked run.
        config: its settings.
        compute: where and how it computes.
        spec: of the data set.
        data_digests: SHA-256 of the train, valid and test images, by split.
        epochs: every epoch so far.
        best_epoch: number of the epoch whose weights ``best`` holds.
        model: weights of the last epoch, by name.
        best: weights of the best epoch, by name.
        optimisation: its state after the last epoch.
        confusion: the validation confusion matrix of the last epoch. It is here, as is the load, because it is logged
            after this file is written, and whoever resumes cannot know whether it was.
        load: of the machine in the last epoch, as metrics.
        kept: the names of the weights that the training began with from elsewhere.
    """

    run_id: str
    config: TrainConfig
    compute: Compute
    spec: DataSpec
    data_digests: dict[str, str]
    epochs: list[Epoch]
    best_epoch: int
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimisation: dict[str, Tensor]
    confusion: Counts | None
    load: dict[str, float]
    kept: list[str] = field(default_factory=list)

    @property
    def train_state(self) -> TrainState:
        """What ``fit`` goes on from."""
        return TrainState(len(self.epochs), self.optimisation)


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write ``folder/checkpoint.safetensors`` under a temporary name, force it to disk, and rename it.

    Raises:
        CheckpointError: it cannot be written; what was there before is untouched.
    """
    parts = {"model": checkpoint.model, "best": checkpoint.best, "optimisation": checkpoint.optimisation}
    tensors = {
        f"{part}/{name}": tensor.contiguous() for part, of_part in parts.items() for name, tensor in of_part.items()
    }
    facts = {
        "version": VERSION,
        "run_id": checkpoint.run_id,
        "config": checkpoint.config.as_text(),
        "compute": asdict(checkpoint.compute),
        "spec": checkpoint.spec.to_json(),
        "data_digests": checkpoint.data_digests,
        "epochs": [asdict(replace(epoch, live=None)) for epoch in checkpoint.epochs],
        "best_epoch": checkpoint.best_epoch,
        "confusion": None if checkpoint.confusion is None else checkpoint.confusion.tolist(),
        "load": checkpoint.load,
        "kept": checkpoint.kept,
    }
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, save(tensors, {"kmnist": json.dumps(facts)}))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error}); the checkpoint before it is untouched. Free some space, "
            "or name another folder with --work-dir, and go on with: kmnist train --resume " + checkpoint.run_id
        ) from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read back what :func:`save_checkpoint` wrote into ``folder``.

    Raises:
        CheckpointError: there is none, or it is damaged or of another version of this program.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        known = sorted(found.parent.name for found in folder.parent.glob(f"*/{FILE_NAME}"))
        raise CheckpointError(
            f"no checkpoint of run {folder.name} in {folder.parent}; "
            + (f"there are checkpoints of: {', '.join(known)}" if known else "there are none of any run")
            + ". A finished run keeps none: its model is in the tracking server"
        )
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["kmnist"])
            if (version := facts.get("version", 1)) != VERSION:
                raise ValueError(
                    f"its form is {version}, this version reads {VERSION}: go on with the one that the run's tags name"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        checkpoint = Checkpoint(
            run_id=facts["run_id"],
            config=TrainConfig.parse(facts["config"]),
            compute=Compute(**facts["compute"]),
            spec=DataSpec.from_json(facts["spec"]),
            data_digests=facts["data_digests"],
            epochs=[_epoch(numbers) for numbers in facts["epochs"]],
            best_epoch=facts["best_epoch"],
            model=_below("model/", tensors),
            best=_below("best/", tensors),
            optimisation=_below("optimisation/", tensors),
            confusion=None if facts["confusion"] is None else np.array(facts["confusion"], np.int64),
            load=facts["load"],
            kept=facts["kept"],
        )
        _check(checkpoint)
    except Exception as error:  # whatever a file provokes that is not what it should be: KeyError, RecursionError, ...
        reason = shorten(str(error) or type(error).__name__)
        raise CheckpointError(
            f"{path} is damaged or of another version of this program ({reason}); delete it and train anew"
        ) from error
    return checkpoint


def _check(checkpoint: Checkpoint) -> None:
    """See that a training can go on with it: all of it has the form that its settings ask for.

    Raises:
        ValueError: something has not.
    """
    numbers = [epoch.number for epoch in checkpoint.epochs]
    if not numbers or numbers != list(range(1, len(numbers) + 1)) or checkpoint.best_epoch not in numbers:
        raise ValueError(f"epochs {numbers}, the best is {checkpoint.best_epoch}")
    config, spec = checkpoint.config, checkpoint.spec
    with torch.device("meta"):  # forms without memory, however large the settings make them
        weights = empty_network(config, spec).state_dict()
    _compare("model", weights, checkpoint.model)
    _compare("best", weights, checkpoint.best)
    model = empty_network(config, spec)  # no larger than what is in the file
    lower_rate(model, checkpoint.kept, config.kept_rate)
    freeze(model, config.freeze)
    optimisation = Optimisation(model, config, steps=1)
    nothing = [weight.sum() * 0 for weight in model.parameters() if weight.requires_grad]
    optimisation.step(torch.stack(nothing).sum())  # now it has a state
    valid = Metrics(0, 0) if config.valid_fraction else None
    zeros = np.zeros((len(spec.classes), len(spec.classes)), np.int64).tolist() if valid else None
    epoch = Epoch(1, Metrics(0, 0), valid, 0, 0, 0, 0)
    for name, expected, found in [
        ("optimisation", optimisation.state_dict(), checkpoint.optimisation),
        ("confusion", zeros, checkpoint.confusion if checkpoint.confusion is None else checkpoint.confusion.tolist()),
        ("epochs", [asdict(epoch)] * len(numbers), [asdict(known) for known in checkpoint.epochs]),
        ("compute", asdict(Compute()), asdict(checkpoint.compute)),
        ("load", dict.fromkeys(checkpoint.load, 0.0), checkpoint.load),
        ("kept", [""] * len(checkpoint.kept), checkpoint.kept),
        ("data_digests", dict.fromkeys(checkpoint.data_digests, ""), checkpoint.data_digests),
        ("run_id", "", checkpoint.run_id),
    ]:
        _compare(name, expected, found)


def _compare(name: str, expected: Any, found: Any) -> None:
    """See that a value has the form of another: the same names, lengths, kinds and shapes.

    Raises:
        ValueError: it has not; the message says where.
    """
    if isinstance(expected, Tensor):
        same = isinstance(found, Tensor) and (found.shape, found.dtype) == (expected.shape, expected.dtype)
    elif isinstance(expected, dict):
        same = isinstance(found, dict) and found.keys() == expected.keys()
    elif isinstance(expected, list | tuple):
        same = isinstance(found, list | tuple) and len(found) == len(expected)
    elif isinstance(expected, int | float) and not isinstance(expected, bool):
        same = isinstance(found, int | float) and not isinstance(found, bool)
    else:
        same = type(found) is type(expected)
    if not same:
        raise ValueError(f"{name} is not what the settings ask for")
    for key in expected if isinstance(expected, dict) else range(len(expected)) if isinstance(expected, list) else ():
        _compare(f"{name}.{key}", expected[key], found[key])


def _epoch(numbers: dict[str, Any]) -> Epoch:
    valid = numbers["valid"]
    return Epoch(**{**numbers, "train": Metrics(**numbers["train"]), "valid": Metrics(**valid) if valid else None})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
