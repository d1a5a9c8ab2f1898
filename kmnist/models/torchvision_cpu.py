"""Import torchvision where its compiled operators do not load.

Its published Linux wheel is built against CUDA; beside a CPU-only torch the import itself fails, because schemas that
its Python code refers to are missing. Declared first, they let data sets and transforms work. A matching pair of torch
and torchvision is left untouched.
"""

import importlib
from types import ModuleType

import torch

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a library that is collected takes its schemas with it


def torchvision_module(name: str) -> ModuleType:
    """``torchvision.<name>``, imported."""
    try:
        return importlib.import_module(f"torchvision.{name}")
    except RuntimeError as error:
        if "does not exist" not in str(error) or _declared:
            raise
        library = torch.library.Library("torchvision", "DEF")
        for schema in SCHEMAS:
            library.define(schema)
        _declared.append(library)
        return importlib.import_module(f"torchvision.{name}")
