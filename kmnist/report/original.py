"""The numbers of the report that this project implements, as they stand there."""

from dataclasses import dataclass

EPOCHS = (1, 51, 101, 151, 201, 251, 301, 351, 401, 451)


@dataclass(frozen=True)
class Row:
    """A line of its table.

    Attributes:
        train_loss: of the epoch.
        valid_loss: of what it calls validation, which by its size is the test split.
        accuracy: on the training images, 0..1.
    """

    train_loss: float
    valid_loss: float
    accuracy: float


@dataclass(frozen=True)
class Original:
    """One architecture of it.

    Attributes:
        title: what it is called there.
        rows: by epoch.
        test_loss: at the end.
        test_accuracy: at the end, 0..1.
        precision: of each class.
        recall: of each class.
    """

    title: str
    rows: dict[int, Row]
    test_loss: float
    test_accuracy: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]


def _rows(*numbers: tuple[float, float, float]) -> dict[int, Row]:
    return {epoch: Row(train, valid, accuracy / 100) for epoch, (train, valid, accuracy) in zip(EPOCHS, numbers)}


#: By the name of the architecture here.
ORIGINALS = {
    "dropout": Original(
        title="ClassifierWithDropout",
        rows=_rows(
            (0.862, 0.698, 73.45),
            (0.142, 0.409, 96.48),
            (0.109, 0.448, 97.43),
            (0.091, 0.436, 97.94),
            (0.087, 0.455, 98.11),
            (0.075, 0.522, 98.35),
            (0.074, 0.479, 98.46),
            (0.066, 0.523, 98.59),
            (0.063, 0.583, 98.59),
            (0.061, 0.560, 98.75),
        ),
        test_loss=0.5446,
        test_accuracy=0.9114,
        precision=(0.93, 0.94, 0.88, 0.92, 0.77, 0.95, 0.90, 0.95, 0.95, 0.95),
        recall=(0.92, 0.88, 0.88, 0.96, 0.93, 0.91, 0.93, 0.89, 0.91, 0.90),
    ),
    "plain": Original(
        title="Classifier",
        rows=_rows(
            (0.397, 0.454, 87.43),
            (0.00657, 0.726, 99.83),
            (0.00345, 0.900, 99.92),
            (0.00590, 1.108, 99.89),
            (3.97e-12, 2.102, 100.0),
            (0.0, 2.437, 100.0),
            (0.0, 2.499, 100.0),
            (0.0, 2.532, 100.0),
            (0.0, 2.554, 100.0),
            (0.0, 2.571, 100.0),
        ),
        test_loss=2.6002,
        test_accuracy=0.9203,
        precision=(0.94, 0.92, 0.87, 0.92, 0.93, 0.93, 0.88, 0.97, 0.90, 0.94),
        recall=(0.96, 0.90, 0.86, 0.95, 0.90, 0.91, 0.96, 0.90, 0.94, 0.91),
    ),
}
