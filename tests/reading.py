"""Pictures read as ``kmnist predict`` reads them, one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from kmnist.data.kmnist import SPEC
from kmnist.pictures.read import Gray
from kmnist.pictures.skipped import Skipped
from kmnist.prediction.decoding import in_batches, prepare
from kmnist.prediction.sources import find_pictures


@dataclass(frozen=True)
class Found:
    """One picture, or why there is none."""

    name: str
    image: Gray | None
    error: str


def read(*sources: object, raw: bool = False, stdin: bytes = b"", skipped: Skipped | None = None) -> Iterator[Found]:
    found = find_pictures([str(source) for source in sources], BytesIO(stdin), skipped or Skipped())
    for batch in in_batches(found):
        prepared = prepare(batch, SPEC, raw)
        for name, image, error in zip(prepared.names, prepared.images, prepared.errors):
            yield Found(name, None if error else image, error)
