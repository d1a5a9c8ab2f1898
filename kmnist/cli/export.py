"""``kmnist export``"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from kmnist.cli.options import ModelUri, TrackingUri

OPSETS = (16, 23)
MOST_BATCH = 65_536


def export(
    out: Annotated[Path, Parameter(name=["OUT", "--out"])],
    *,
    model: ModelUri = "models:/kmnist@champion",
    format: Literal["onnx"] = "onnx",
    opset: Annotated[int | None, Parameter(validator=Number(gte=OPSETS[0], lte=OPSETS[1]), show_default=False)] = None,
    batch: Annotated[int | None, Parameter(validator=Number(gte=1, lte=MOST_BATCH), show_default=False)] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a model in a format that runs without PyTorch.

    Its probabilities are those of ``kmnist predict``. The classes, the threshold of unsure answers and what the pixels
    must look like are in the file's metadata.

    Parameters
    ----------
    out
        the file to write
    format
        of the file
    opset
        version of ONNX's operators, 16 to 23: older runtimes need a lower one [default: PyTorch's choice]
    batch
        number of pictures that the file takes at once, for runtimes that cannot take any number [default: any]
    """
    from kmnist.cli.printer import Printer
    from kmnist.registry import fetch_network
    from kmnist.registry.export import export_onnx

    saved = fetch_network(model, tracking_uri=tracking_uri)
    export_onnx(saved, out, opset=opset, batch=batch)
    screen, (height, width) = Printer(quiet=False), saved.spec.shape
    screen.say(f"{out}: {out.stat().st_size:,} bytes")
    screen.say(
        f"pixels ({batch or 'N'}, {height}, {width}), 0 to 255, to log_probabilities ({batch or 'N'}, "
        f"{len(saved.spec.classes)}), with temperature {saved.calibration.temperature:.4g} in them; "
        f"unsure below {saved.calibration.unsure_below:.4g}: see the metadata"
    )
