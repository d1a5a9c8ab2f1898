"""Answers on their way to a file, in parts that a kill, a full disk or a power cut leaves whole.

``answers.parquet.parts/`` holds them until all are there; then they become ``answers.parquet``, and it is removed. The
same command goes on after the last whole part: it walks over the pictures again, compares their names with the rows
that are there, and reads none of them. So no row is there twice, and none is missing.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from pyarrow import parquet

from kmnist.durable import replace_file
from kmnist.errors import PictureError
from kmnist.inference.classifier import BATCH, FIELDS, Classifier
from kmnist.prediction.answers import COLUMNS, Columns
from kmnist.prediction.picture import Picture

ROWS = 10 * BATCH  # of a part: whole batches, or resumed answers would differ in their last bits
SECONDS = 30  # after which a part may be smaller
NEAR = 1e-3  # what the same network may differ by on another computer
KINDS = {name: pa.float32() for name, kind in FIELDS.items() if kind is float}
KINDS |= {"class": pa.int8(), "unsure": pa.bool_()}
SCHEMA = pa.schema([(name, KINDS.get(name, pa.string())) for name in COLUMNS])


class Parts:
    """The answers so far.

    Args:
        out: the file that they will be.
        command: what decides which answers these are.

    Raises:
        PictureError: another command is writing them, those that are there are of another command, or the folder
            cannot be written.
    """

    def __init__(self, out: Path, command: Mapping[str, Any]) -> None:
        self._folder = out.with_name(f"{out.name}.parts")
        self._done = out.with_name(f"{out.name}.done")
        shutil.rmtree(self._done, ignore_errors=True)  # a kill left it
        self._lock = FileLock(self._folder / "lock", timeout=0)
        try:
            self._folder.mkdir(exist_ok=True)
            self._lock.acquire()
            self._begin(dict(command))
        except Timeout:
            raise PictureError(f"{self._folder}: another command is writing these answers") from None
        except (OSError, ValueError) as error:
            raise PictureError(f"{self._folder} cannot be used ({error}); remove it to begin anew") from error
        self._columns: list[Columns] = []
        self._last = time.monotonic()

    def is_ours(self, path: str) -> bool:
        """Whether it is one of these files, which may lie among the pictures."""
        if not path.endswith(".parquet"):
            return False
        real, folder = os.path.realpath(path), os.path.realpath(self._folder)
        return real.startswith(folder + os.sep) or f"{real}.parts" == folder

    def without_answered(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        """The pictures that have no answer yet.

        Raises:
            PictureError: those before them are not those that were answered.
        """
        self.answered = 0
        for part in self._paths():
            for name in parquet.read_table(part, columns=["picture"]).column(0).to_pylist():
                picture = next(pictures, None)
                self.answered += 1
                if picture is None or picture.name != name:
                    now = "there is none" if picture is None else picture.name
                    raise PictureError(
                        f"{self._folder}: answer {self.answered:,} was of {name}, and now {now} is there; remove that "
                        "folder to begin anew"
                    )
        yield from pictures

    def check_model(self, classifier: Classifier) -> None:
        """See that it is the same network, by what it says of some fixed pictures.

        Raises:
            PictureError: it is another.
        """
        noise = np.random.default_rng(0).integers(0, 256, (8, *classifier.spec.shape), np.uint8)
        log_probabilities = classifier.predict(noise).log_probabilities  # (8, C)
        said = self._about.setdefault("log_probabilities", log_probabilities.tolist())
        if np.shape(said) != log_probabilities.shape or not np.allclose(said, log_probabilities, NEAR, NEAR):
            raise PictureError(
                f"{self._folder} holds answers of another model of this name; name that one, or remove the folder to "
                "begin anew"
            )
        self._replace("about.json", json.dumps(self._about).encode())

    def write(self, columns: Columns) -> None:
        """Some more rows; on disk as soon as there are enough."""
        self._columns.append(columns)
        rows = sum(len(part["picture"]) for part in self._columns)
        if rows >= ROWS or time.monotonic() - self._last > SECONDS:
            self._flush()

    def tables(self) -> Iterator[pa.Table]:
        """All rows, a part at a time."""
        self._flush()
        for part in self._paths():
            yield parquet.read_table(part)

    def remove(self) -> None:
        """They are in the file now."""
        self._folder.rename(self._done)  # at once: a kill must not leave some of them
        shutil.rmtree(self._done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self._lock.release()
        if self._folder.is_dir() and not self._paths():  # nothing is lost with it
            with suppress(OSError):
                shutil.rmtree(self._folder)

    def _begin(self, command: dict[str, Any]) -> None:
        about = self._folder / "about.json"
        self._about: dict[str, Any] = json.loads(about.read_bytes()) if about.exists() else {"command": command}
        if (before := self._about["command"]) != command:
            names = [name for name in command if before.get(name) != command[name]]
            raise PictureError(
                f"{self._folder} holds answers of another command, which had another {', '.join(names)}; type that "
                "one to go on with it, or remove the folder"
            )

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.parquet"))

    def _flush(self) -> None:
        if self._columns:
            content = BytesIO()
            joined = {name: [value for part in self._columns for value in part[name]] for name in COLUMNS}
            parquet.write_table(pa.table(joined, SCHEMA), content)
            self._replace(f"part-{len(self._paths()):06}.parquet", content.getvalue())
            self._columns = []
        self._last = time.monotonic()

    def _replace(self, name: str, content: bytes) -> None:
        try:
            replace_file(self._folder / name, content)
        except OSError as error:
            raise PictureError(
                f"{self._folder} cannot be written ({error}); the same command goes on where this one ended"
            ) from error
