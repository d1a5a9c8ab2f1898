"""Answers as rows: one for each picture, of those that cannot be read, too. Any number of them in constant memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from kmnist.inference.classifier import BATCH, FIELDS, Classifier
from kmnist.prediction.sources import Found

Row = dict[str, str | int | float | None]
COLUMNS = ("picture", *FIELDS, "error")


def answers(classifier: Classifier, found: Iterable[Found], unsure_below: float | None = None) -> Iterator[Row]:
    """A row for each picture, in the order of ``found``: COLUMNS, all empty but two where there is an error.

    Args:
        classifier: whose answers.
        found: the pictures.
        unsure_below: the probability below which an answer is unsure; ``None``: as measured on validation.
    """
    pictures = iter(found)
    while batch := list(islice(pictures, BATCH)):
        images = [picture.image for picture in batch if picture.image is not None]
        predictions = classifier.predict(
            np.stack(images) if images else np.zeros((0, *classifier.spec.shape), np.uint8), unsure_below
        )
        predicted = iter(predictions.rows())
        for picture in batch:
            row: Row = dict.fromkeys(COLUMNS)
            row["picture"], row["error"] = picture.name, picture.error
            if picture.image is not None:
                row |= next(predicted)
            yield row
