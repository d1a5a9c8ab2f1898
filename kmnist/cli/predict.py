"""``kmnist predict``"""

import inspect
import sys
from contextlib import ExitStack
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from kmnist.cli.options import ModelUri, OneThread, TrackingUri, UnsureBelow, require_writable
from kmnist.errors import PictureError, SettingError
from kmnist.extras import require
from kmnist.settings import unknown_name
from kmnist.text import complain

if TYPE_CHECKING:
    from kmnist.inference import Classifier
    from kmnist.prediction.decoding import Prepared

MOST_EXPLAINED = 8
FORMATS = (".parquet", ".csv")  # of a file of answers


def predict(
    pictures: Annotated[list[str], Parameter(negative=(), allow_leading_hyphen=True)],
    /,
    *,
    model: ModelUri = "models:/kmnist@champion",
    format: Literal["table", "json", "csv"] = "table",
    raw: bool = False,
    unsure_below: UnsureBelow = None,
    shard: Annotated[str | None, Parameter(show_default=False)] = None,
    out: Annotated[Path | None, Parameter(show_default=False)] = None,
    explain: Annotated[Path | None, Parameter(show_default=False)] = None,
    threads: OneThread = 1,
    workers: Annotated[int | None, Parameter(validator=validators.Number(gte=1), show_default=False)] = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say which kana pictures show.

    Parameters
    ----------
    pictures
        PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, HEIC, IDX, .npy or .npz files, .csv files of pixels, .tar, .zip or
        .parquet files of pictures, folders of them, or - for standard input
    format
        table, json (a line each) or csv
    raw
        take the pictures as they are: of the size of the training images, and looking as they do
    shard
        2/8: of every eight pictures, in their order, the second only; eight machines take them all, and none twice
    out
        write to this file (.parquet, .csv) instead, for any number of pictures, with a progress bar; if it is
        interrupted or killed, the same command goes on where it ended
    explain
        write a picture of what the network saw, and of what spoke for its answer
    workers
        processes that read pictures, where there are many; of some hundred, one does [default: as many as cores]
    """
    for name in pictures:
        if name.startswith("-") and name != "-":
            known = [f"--{option.replace('_', '-')}" for option in inspect.signature(predict).parameters]
            raise SettingError(f"{unknown_name('option', name, known[1:])} (a file of this name is ./{name})")
    if out is not None:
        require("parquet", f"--out {out}")
        require_writable(out, "--out", FORMATS)
    if explain is not None:
        require("train", f"--explain {explain}")
        require_writable(explain, "--explain", (".png",))

    from kmnist.cores import available_cores
    from kmnist.pictures.read import quiet_decoders
    from kmnist.pictures.skipped import Skipped
    from kmnist.prediction.answers import answers
    from kmnist.prediction.decoding import in_batches
    from kmnist.prediction.sources import check_there, find_pictures, shard_of
    from kmnist.prediction.workers import Decoders

    check_there(pictures)
    quiet_decoders()
    skipped = Skipped()
    with ExitStack() as stack:
        parts = None
        if out is not None:
            from kmnist.prediction.parts import Parts

            command = {"PICTURES": pictures, "--model": model, "--raw": raw, "--shard": shard}
            command["--unsure-below"] = unsure_below
            parts = stack.enter_context(Parts(out, command))
        stdin = sys.stdin.buffer if sys.stdin else BytesIO()
        found = find_pictures(pictures, stdin, skipped, parts.is_ours if parts else lambda path: False)
        found = shard_of(found, shard)
        if parts:
            found = parts.without_answered(found)
        batches = in_batches(found)
        first = list(islice(batches, 1))
        if not first and shard is None and not (parts and parts.answered):
            raise PictureError(
                f"there are no pictures in {', '.join(pictures)[:200]}{f'; {skipped}' if str(skipped) else ''}"
            )
        decoders = stack.enter_context(Decoders(chain(first, batches), workers or available_cores()))

        from kmnist.cli.prediction_output import print_answers, write_answers
        from kmnist.registry import load_model
        from kmnist.training.compute import set_threads

        set_threads(threads)
        classifier = load_model(model, tracking_uri=tracking_uri)
        prepared = decoders.prepared(classifier.spec, raw)
        if explain is not None:
            explained = list(islice(prepared, 1))
            _explain(classifier, explained, explain)
            prepared = chain(explained, prepared)
        answered = answers(classifier, prepared, unsure_below)
        if out is not None and parts:
            parts.check_model(classifier)
            failed = write_answers(answered, out, parts, skipped)
        else:
            failed = print_answers(answered, format)
    if str(skipped):
        complain(str(skipped))
    if failed:
        raise PictureError(f"{failed:,} of the pictures could not be read; the answers say why")


def _explain(classifier: "Classifier", found: "list[Prepared]", path: Path) -> None:
    """A figure of the first pictures."""
    import numpy as np

    from kmnist.figures import explanations
    from kmnist.prediction.explain import occlusion
    from kmnist.text import for_terminal

    seen = [
        (name, image)
        for part in found
        for name, image, error in zip(part.names, part.images, part.errors[:MOST_EXPLAINED])
        if not error
    ]
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
