"""A network as an MLflow model: saved without pickle, taking raw pixels; and as plain data, for our own loading."""

import shutil
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import torch
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from torch import nn

from kmnist.config import TrainConfig
from kmnist.inference.classifier import FIELDS
from kmnist.models import save_network

NAME = "model"
#: What ``kmnist.serving`` consists of; each model carries a copy, as the package ``kmnist_model``.
SERVING = ("errors.py", "kana.py", "inference/__init__.py", "inference/classifier.py", "inference/pictures.py",
           "serving.py")  # fmt: skip
TYPES = {str: DataType.string, int: DataType.long, float: DataType.double}


def save_model(model: nn.Module, config: TrainConfig, folder: Path) -> None:
    """Save ``model``, which ``config`` built, as an MLflow model in the ``pt2`` format (torch.export: no pickle).

    The graph and the code beside it are for others' tools, and can run anything as whoever loads them: expressions in
    a graph are evaluated as Python. So this package reads only the weights and settings, which lie there as plain data,
    too (``kmnist.models.load_network``).

    Whoever loads it with MLflow needs nothing of this package. As ``mlflow.pytorch`` it is the network: raw pixels
    0..255, float32 (N, 28, 28) -> log-probabilities (N, 10). As ``mlflow.pyfunc``, and served, it answers with kana:
    see ``kmnist.serving``, of which it carries a copy.

    The model is moved to the CPU and set to evaluation, or dropout and the device would be fixed in the file.
    """
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 28, 28))]),
        outputs=Schema([ColSpec(TYPES[kind], name) for name, kind in FIELDS.items()]),
    )
    # So MLflow leaves it to kmnist.serving to check what comes in: it could not take pictures as text beside pixels.
    signature._is_signature_from_type_hint = True
    mlflow.pytorch.save_model(
        model.cpu().eval(),
        folder,
        signature=signature,
        input_example=np.zeros((2, 28, 28), np.float32),  # two rows: with one, the batch size would be fixed to 1
        # Named, not inferred: to infer them MLflow imports everything in another process, for seconds.
        pip_requirements=[
            f"mlflow=={version('mlflow')}",
            f"torch=={torch.__version__.partition('+')[0]}",
            *(f"{name}=={version(name)}" for name in ("numpy", "pillow")),
        ],
        serialization_format="pt2",
    )
    save_network(model, config, folder)
    _carry_serving(folder)


def _carry_serving(folder: Path) -> None:
    package = folder / "code" / "kmnist_model"
    for name in SERVING:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).parents[1] / name, package / name)
    (package / "__init__.py").write_text('"""What serves this model: see serving.py."""\n')
    model = Model.load(folder)
    mlflow.pyfunc.add_to_model(
        model, "kmnist_model.serving", code="code", conda_env="conda.yaml", python_env="python_env.yaml"
    )
    model.save(folder / "MLmodel")
