"""What a finished training leaves in its run: final metrics, the note, tables and figures."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from kmnist import figures, record
from kmnist.calibration import Calibration, LogProbabilities
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.data.spec import KMNIST
from kmnist.errors import NothingDrawn
from kmnist.experiment.answered import Answered
from kmnist.experiment.checkpointer import split_metrics
from kmnist.experiment.note import note
from kmnist.experiment.run import Run
from kmnist.experiment.splits import Splits
from kmnist.inference import prepare_picture
from kmnist.metrics import Metrics
from kmnist.training.augmentation.augment import Augmentation
from kmnist.training.fit import Epoch

AUGMENTED_IMAGES, AUGMENTED_EPOCHS = 10, 8  # shown
PREPARED = 8  # the same


@dataclass(frozen=True)
class Result:
    """What a training came to.

    Attributes:
        epochs: every epoch.
        best: the epoch whose weights were kept, chosen on the validation split.
        test: of the best epoch's weights.
        test_last: of the last epoch's weights.
        seconds: wall time from the first epoch to the last, of this process.
    """

    epochs: list[Epoch]
    best: Epoch
    test: Metrics
    test_last: Metrics
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """All that tables and figures are made from.

    Attributes:
        config: the settings.
        splits: what was trained on.
        test: what was tested on.
        result: the numbers.
        log_probabilities: (N, C) of the best epoch's weights on the test split.
        calibration: of the best epoch's weights.
    """

    config: TrainConfig
    splits: Splits
    test: Images
    result: Result
    log_probabilities: LogProbabilities
    calibration: Calibration

    @property
    def answered(self) -> Answered:
        """The test images with the answers for them."""
        spec = self.splits.spec
        title = f"{spec.name} test split, weights of epoch {self.result.best.number}"
        return Answered(title, self.test, spec, self.log_probabilities, self.calibration)


def log_results(evaluated: Evaluated, run: Run) -> None:
    """Log everything but the model."""
    config, result = evaluated.config, evaluated.result
    best, last = result.best, result.epochs[-1]
    # Stamped with their epoch's time, so that a run which is resumed only to be finished logs the same points again.
    answered = evaluated.answered
    tested = split_metrics(record.TEST, result.test) | answered.sureness(record.TEST) | answered.thresholds
    run.log_metrics(tested, best.number, best.timestamp_ms)
    at_last = {**split_metrics(record.TEST_LAST, result.test_last), record.BEST_EPOCH: best.number}
    run.log_metrics(at_last, last.number, last.timestamp_ms)
    splits = evaluated.splits
    run.log_note(note(config, splits.spec, splits.digests["train"], best, last, result.test, result.test_last))
    run.log_file(json.dumps(splits.spec.to_json(), ensure_ascii=False, indent=2).encode(), record.DATA_SPEC)
    answered.log(run)
    for name, draw in FIGURES.items():
        if (png := draw(evaluated)) is not None:
            run.log_file(png, f"{record.FIGURES}/{name}.png")


def _learning_curves(evaluated: Evaluated) -> bytes:
    epochs = evaluated.result.epochs
    parts = {record.TRAIN: [epoch.train for epoch in epochs], record.VALID: [e.valid for e in epochs if e.valid]}
    curves = {
        split: {"loss": [one.loss for one in of], "accuracy": [one.accuracy for one in of]}
        for split, of in parts.items()
        if of
    }
    return figures.learning_curves([epoch.number for epoch in epochs], curves, evaluated.result.best.number)


def _samples(evaluated: Evaluated) -> bytes:
    train = evaluated.splits.train
    return figures.samples(train.pixels, train.labels, evaluated.splits.spec)


def _class_distribution(evaluated: Evaluated) -> bytes:
    splits = {"train": evaluated.splits.train, "valid": evaluated.splits.valid, "test": evaluated.test}
    return figures.class_distribution(
        {name: of.labels for name, of in splits.items() if len(of)}, evaluated.splits.spec
    )


def _augmented(evaluated: Evaluated) -> bytes | None:
    """What the network saw of the first images in its first epochs; nothing where they were left as they are."""
    augmentation = Augmentation(evaluated.config)
    if not augmentation:
        return None
    train, spec = evaluated.splits.train, evaluated.splits.spec
    first = np.concatenate([np.flatnonzero(train.labels == number)[:1] for number in range(len(spec.classes))])
    pixels = train.pixels[first[:AUGMENTED_IMAGES]]
    generator = torch.Generator().manual_seed(evaluated.config.seed)
    changed = [augmentation(torch.from_numpy(pixels), generator)[0].numpy() for _ in range(AUGMENTED_EPOCHS)]
    return figures.augmented(pixels, np.stack(changed))


def _prepared(evaluated: Evaluated) -> bytes | None:
    """Training images beside what becomes of a larger picture of each; KMNIST's form is known."""
    spec, images = evaluated.splits.spec, evaluated.splits.train.pixels[:PREPARED]
    if spec.form.kind == KMNIST:
        return None
    shown = []
    for pixels in images:
        height, width = (4 * side for side in pixels.shape)
        try:
            shown.append((pixels, prepare_picture(np.asarray(Image.fromarray(pixels).resize((width, height))), spec)))
        except NothingDrawn:
            continue
    return figures.prepared(shown, str(spec.form)) if shown else None


#: Name of the PNG -> what draws it, or ``None`` if there is nothing to show.
#: To add a figure: a function in ``kmnist/figures/`` and a line here.
FIGURES: dict[str, Callable[[Evaluated], bytes | None]] = {
    "learning_curves": _learning_curves,
    "samples": _samples,
    "augmented": _augmented,
    "class_distribution": _class_distribution,
    "prepared": _prepared,
}
