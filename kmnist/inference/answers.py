"""Answers as rows: one for each picture, of those that cannot be read, too. Any number of them in constant memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from kmnist.inference.classifier import BATCH, Classifier
from kmnist.inference.sources import Found
from kmnist.kana import KANA, ROMAJI

Row = dict[str, str | int | float | None]
COLUMNS = ("picture", "kana", "romaji", "class", "probability", "second", "second_probability", "third",
           "third_probability", "error")  # fmt: skip


def answers(classifier: Classifier, found: Iterable[Found]) -> Iterator[Row]:
    """A row for each picture, in the order of ``found``: COLUMNS, all empty but two where there is an error."""
    pictures = iter(found)
    while batch := list(islice(pictures, BATCH)):
        images = [picture.image for picture in batch if picture.image is not None]
        predictions = classifier.predict(np.stack(images) if images else np.zeros((0, 28, 28), np.uint8))
        candidates, place = predictions.candidates(), 0
        for picture in batch:
            row: Row = dict.fromkeys(COLUMNS)
            row["picture"], row["error"] = picture.name, picture.error
            if picture.image is not None:
                first, second, third = (int(number) for number in candidates[place])
                probabilities = predictions.probabilities[place]
                row |= {"kana": KANA[first], "romaji": ROMAJI[first], "class": first}
                row |= {"probability": float(probabilities[first])}
                row |= {"second": KANA[second], "second_probability": float(probabilities[second])}
                row |= {"third": KANA[third], "third_probability": float(probabilities[third])}
                place += 1
            yield row
