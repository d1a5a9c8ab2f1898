"""``kmnist predict``"""

import inspect
import sys
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from kmnist.cli.options import ModelUri, OneThread, TrackingUri, require_writable
from kmnist.errors import PictureError, SettingError
from kmnist.settings import unknown_name

if TYPE_CHECKING:
    from kmnist.inference import Classifier
    from kmnist.prediction.sources import Found

MOST_EXPLAINED = 8
FORMATS = (".parquet", ".csv")  # of a file of answers


def predict(
    pictures: Annotated[list[str], Parameter(negative=(), allow_leading_hyphen=True)],
    /,
    *,
    model: ModelUri = "models:/kmnist@champion",
    format: Literal["table", "json", "csv"] = "table",
    raw: bool = False,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    explain: Annotated[Path | None, Parameter(show_default=False)] = None,
    threads: OneThread = 1,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say which kana pictures show.

    Parameters
    ----------
    pictures
        PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC, IDX, .npy or .npz files, folders of them, or - for standard input
    format
        table, json (a line each) or csv
    raw
        take the pictures as they are: 28 x 28, light on dark, as in KMNIST
    out
        write to this file (.parquet, .csv) instead, for any number of pictures, with a progress bar
    explain
        write a picture of what the network saw, and of what spoke for its answer
    """
    for name in pictures:
        if name.startswith("-") and name != "-":
            known = [f"--{option.replace('_', '-')}" for option in inspect.signature(predict).parameters]
            raise SettingError(f"{unknown_name('option', name, known[1:])} (a file of this name is ./{name})")
    if out is not None:
        require_writable(out, "--out", FORMATS)
    if explain is not None:
        require_writable(explain, "--explain", (".png",))

    from kmnist.cli.prediction_output import print_rows, write_rows
    from kmnist.prediction.answers import answers
    from kmnist.prediction.sources import count_pictures, find_pictures
    from kmnist.registry import load_model
    from kmnist.training.compute import set_threads

    set_threads(threads)
    classifier = load_model(model, tracking_uri=tracking_uri)
    found = find_pictures(pictures, sys.stdin.buffer if sys.stdin else BytesIO(), classifier.spec.shape, raw)
    if explain is not None:
        first = list(islice(found, MOST_EXPLAINED))
        _explain(classifier, first, explain)
        found = chain(first, found)
    rows = answers(classifier, found)
    failed = write_rows(rows, out, count_pictures(pictures)) if out else print_rows(rows, format)
    if failed:
        raise PictureError(f"{failed:,} of the pictures could not be read; the answers say why")


def _explain(classifier: "Classifier", found: "list[Found]", path: Path) -> None:
    """A figure of the first pictures."""
    import numpy as np

    from kmnist.figures import explanations
    from kmnist.prediction.explain import occlusion
    from kmnist.text import for_terminal

    seen = [(picture.name, picture.image) for picture in found if picture.image is not None]
    if not seen:
        raise PictureError("there is no picture to explain")
    images = [image for _, image in seen]
    predictions = classifier.predict(np.stack(images))
    titles = [
        f"{for_terminal(Path(name).name)}: {kana} {romaji}, {row.max():.1%}"
        for (name, _), kana, romaji, row in zip(seen, predictions.kana, predictions.romaji, predictions.probabilities)
    ]
    figure = explanations(images, [occlusion(classifier, image) for image in images], titles)
    try:
        path.write_bytes(figure)
    except OSError as error:
        raise PictureError(f"--explain {path}: cannot be written ({error})") from error
