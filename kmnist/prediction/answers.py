"""Answers in columns, with a row for each picture, for those that cannot be read, too."""

from collections.abc import Iterable, Iterator

import numpy as np

from kmnist.inference.classifier import BATCH, FIELDS, Classifier
from kmnist.prediction.decoding import Prepared

#: Of each of COLUMNS, N values; ``None`` where there is an error, but for the picture and the error.
Columns = dict[str, list[str | int | float | None]]
COLUMNS = ("picture", *FIELDS, "error")


def answers(
    classifier: Classifier, prepared: Iterable[Prepared], unsure_below: float | None = None
) -> Iterator[Columns]:
    """A row for each picture, in order: COLUMNS of BATCH rows at a time, the last of fewer.

    Args:
        classifier: whose answers.
        prepared: the pictures.
        unsure_below: the probability below which an answer is unsure; ``None``: as measured on validation.
    """
    for batch in _of_one_size(prepared):
        good = [not error for error in batch.errors]
        found = classifier.predict(batch.images if all(good) else batch.images[good], unsure_below).columns()
        columns: Columns = {"picture": list(batch.names)}
        for name in FIELDS:
            values = iter(found.get(name, ()))
            columns[name] = [next(values, None) if there else None for there in good]
        columns["error"] = list(batch.errors)
        yield columns


def _of_one_size(prepared: Iterable[Prepared]) -> Iterator[Prepared]:
    """BATCH at a time: by the size of a batch the last bits of a probability change."""
    parts: list[Prepared] = []
    count = 0
    for part in prepared:
        parts.append(part)
        count += len(part.names)
        while count >= BATCH:
            whole = _joined(parts)
            yield _cut(whole, 0, BATCH)
            parts, count = [_cut(whole, BATCH, count)], count - BATCH
    if count:
        yield _joined(parts)


def _joined(parts: list[Prepared]) -> Prepared:
    return Prepared(
        [name for part in parts for name in part.names],
        np.concatenate([part.images for part in parts]),
        [error for part in parts for error in part.errors],
    )


def _cut(part: Prepared, first: int, last: int) -> Prepared:
    return Prepared(part.names[first:last], part.images[first:last], part.errors[first:last])
