"""A network as an MLflow model: saved without pickle, taking raw pixels; and as plain data, for our own loading."""

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from torch import nn

from kmnist.inference.classifier import FIELDS
from kmnist.inference.serving import OUTPUTS
from kmnist.network import SavedNetwork, save_network

#: What answers for a model: ``kmnist.inference`` and the files that it imports; each model carries a copy.
CARRIED = (
    "inference/*.py",
    *(f"pictures/{name}.py" for name in ("__init__", "read", "formats", "limits", "look")),
    "calibration.py",
    "errors.py",
    "data/spec.py",
)
TYPES = {str: DataType.string, int: DataType.long, float: DataType.double, bool: DataType.boolean}


def model_name(arch: str) -> str:
    """What a logged model is called: MLflow's pages list models by their names, and names stand in addresses."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", arch)


def save_model(saved: SavedNetwork, folder: Path) -> None:
    """Save a network as an MLflow model in the ``pt2`` format (no pickle).

    The graph and the code beside it are for others' tools, and can run anything as whoever loads them: expressions in
    a graph are evaluated as Python. So this package reads only the weights and settings, which lie there as plain data,
    too (``kmnist.network``).

    Whoever loads it with MLflow needs nothing of this package. As ``mlflow.pytorch`` it is the network: raw pixels
    0..255, float32 (N, H, W) -> log-probabilities (N, C). As ``mlflow.pyfunc``, and served, it answers with kana:
    see ``kmnist.inference.serving``, of which it carries a copy.

    The network is moved to the CPU and set to evaluation, or dropout and the device would be fixed in the file.
    """
    shape = saved.spec.shape
    mlflow.pytorch.save_model(
        _as_exported(saved.network),
        folder,
        signature=ModelSignature(Schema([TensorSpec(np.dtype(np.float32), (-1, *shape))])),  # of the network
        input_example=np.zeros((2, *shape), np.float32),  # two rows: with one, the batch size would be fixed to 1
        # Named, not inferred: to infer them MLflow imports everything in another process, for seconds.
        pip_requirements=[
            f"mlflow=={version('mlflow')}",
            f"torch=={torch.__version__.partition('+')[0]}",
            *(f"{name}=={version(name)}" for name in ("numpy", "pandas", "pillow", "scipy")),
        ],
        serialization_format="pt2",
    )
    save_network(saved, folder)
    _carry_serving(folder)


def _as_exported(model: nn.Module) -> nn.Module:
    # Kernels in another order of memory would be written with a warning.
    exported: nn.Module = model.cpu().eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return exported


def _carry_serving(folder: Path) -> None:
    ours, package = Path(__file__).parents[1], folder / "code" / "kmnist_model"
    for pattern in CARRIED:
        for path in ours.glob(pattern):
            copy = package / path.relative_to(ours)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    for place in (package, package / "data"):
        (place / "__init__.py").write_text('"""What serves this model: see inference/serving.py."""\n')
    model = Model.load(folder)
    mlflow.pyfunc.add_to_model(
        model,
        "kmnist_model.inference.serving",
        code="code",
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config={"output": OUTPUTS[0]},
    )
    # No schema of inputs: none of MLflow's takes pixels, pictures as text and tables alike; our serving checks them.
    model.signature = ModelSignature(
        outputs=Schema([ColSpec(TYPES[kind], name) for name, kind in FIELDS.items()]),
        params=ParamSchema(
            [
                ParamSpec("output", DataType.string, None),
                ParamSpec("unsure_below", DataType.double, None),
                ParamSpec("raw", DataType.boolean, False),
            ]
        ),
    )
    model.save(folder / "MLmodel")
