"""``kmnist export``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from kmnist.cli.options import ModelUri, TrackingUri


def export(
    out: Annotated[Path, Parameter(name=["OUT", "--out"])],
    *,
    model: ModelUri = "models:/kmnist@champion",
    format: Literal["onnx"] = "onnx",
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a model in a format that runs without PyTorch.

    Parameters
    ----------
    out
        the file to write
    format
        of the file
    """
    from kmnist.cli.printer import Printer
    from kmnist.registry import fetch_network
    from kmnist.registry.export import export_onnx

    export_onnx(fetch_network(model, tracking_uri=tracking_uri), out)
    Printer(quiet=False).say(f"{out}: {out.stat().st_size:,} bytes")
