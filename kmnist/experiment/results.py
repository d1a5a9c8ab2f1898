"""What a finished training leaves in its run: final metrics, the note, tables and figures."""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kmnist import figures, metrics
from kmnist.config import TrainConfig
from kmnist.experiment.note import note
from kmnist.experiment.run import Run
from kmnist.experiment.splits import Splits
from kmnist.metrics import Metrics
from kmnist.training import Epoch

LogProbabilities = npt.NDArray[np.float32]


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


def log_results(
    config: TrainConfig,
    splits: Splits,
    train_digest: str,
    result: Result,
    log_probabilities: LogProbabilities,
    run: Run,
) -> None:
    """Log everything but the model.

    Args:
        config: the settings.
        splits: what was trained and tested on.
        train_digest: SHA-256 of the training images.
        result: the numbers.
        log_probabilities: (N, 10) of the best epoch's weights on the test split.
        run: where to.
    """
    best, last = result.best, result.epochs[-1]
    # Stamped with their epoch's time, so that a run which is resumed only to be finished logs the same points again.
    tested = {"test/loss": result.test.loss, "test/accuracy": result.test.accuracy}
    run.log_metrics(tested, best.number, best.timestamp_ms)
    run.log_metrics(
        {
            "test_last/loss": result.test_last.loss,
            "test_last/accuracy": result.test_last.accuracy,
            "best_epoch": best.number,
        },
        last.number,
        last.timestamp_ms,
    )
    run.log_note(note(config, splits.name, train_digest, best, last, result.test, result.test_last))
    for name, text in _reports(splits.test.labels, log_probabilities).items():
        run.log_file(text.encode(), f"reports/{name}")
    for name, png in _figures(splits, result, log_probabilities).items():
        run.log_file(png, f"figures/{name}.png")


def _reports(actual: metrics.Counts, log_probabilities: LogProbabilities) -> dict[str, str]:
    predicted = log_probabilities.argmax(axis=1)
    text, numbers = metrics.classification_report(actual, predicted)
    tables = {
        "per_class.csv": metrics.per_class_table(actual, predicted),
        "predictions.csv": metrics.predictions_table(actual, log_probabilities),
        "confusions.csv": metrics.confusions_table(metrics.confusion_matrix(actual, predicted)),
    }
    return {
        "classification_report.txt": text,
        "classification_report.json": json.dumps(numbers, indent=2),
        **{name: table.to_csv(index=False, float_format="%.6g") for name, table in tables.items()},
    }


def _figures(splits: Splits, result: Result, log_probabilities: LogProbabilities) -> dict[str, bytes]:
    labels = {"train": splits.train.labels, "valid": splits.valid.labels, "test": splits.test.labels}
    confusion = metrics.confusion_matrix(splits.test.labels, log_probabilities.argmax(axis=1))
    title = f"{splits.name} test split, weights of epoch {result.best.number}: accuracy {result.test.accuracy:.2%}"
    return {
        "learning_curves": figures.learning_curves(
            [epoch.number for epoch in result.epochs],
            _curves([epoch.train for epoch in result.epochs]),
            _curves([epoch.valid for epoch in result.epochs]),
            result.best.number,
        ),
        "confusion_matrix": figures.confusion(confusion, title),
        "misclassified": figures.misclassified(splits.test.pixels, splits.test.labels, np.exp(log_probabilities)),
        "samples": figures.samples(splits.train.pixels, splits.train.labels),
        "class_distribution": figures.class_distribution(labels),
    }


def _curves(parts: list[Metrics]) -> dict[str, list[float]]:
    return {"loss": [part.loss for part in parts], "accuracy": [part.accuracy for part in parts]}
