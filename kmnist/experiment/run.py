"""What a training needs of a tracker: the least it can do with."""

from collections.abc import Mapping
from typing import Protocol

from PIL import Image

from kmnist.data import DataSpec, Images
from kmnist.network import SavedNetwork


class Run(Protocol):
    """Where a training is written down. All methods return at once; none may raise because a server is away."""

    @property
    def id(self) -> str:
        """Names the run, and the folder of its checkpoint."""

    def log_params(self, params: Mapping[str, str]) -> None:
        """Settings, as text."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Facts about the run, as text; a later value replaces an earlier one."""

    def log_note(self, markdown: str) -> None:
        """What a person should read first."""

    def log_data(self, split: str, images: Images, spec: DataSpec, source: str) -> None:
        """One split as an input of the run."""

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        """Numbers of one step; the same point logged again changes nothing."""

    def log_file(self, content: bytes, path: str) -> None:
        """An artifact."""

    def log_image(self, image: Image.Image, key: str, step: int, timestamp_ms: int) -> None:
        """One image of a series over the steps; the same one logged again changes nothing."""

    def log_model(self, saved: SavedNetwork, step: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        """The trained network and what built it, with the metrics of the step that it is from, as they were logged."""


class NullRun:
    """A :class:`Run` that writes nothing down."""

    id = "untracked"

    def log_params(self, params: Mapping[str, str]) -> None: ...
    def log_tags(self, tags: Mapping[str, str]) -> None: ...
    def log_note(self, markdown: str) -> None: ...
    def log_data(self, split: str, images: Images, spec: DataSpec, source: str) -> None: ...
    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None: ...
    def log_file(self, content: bytes, path: str) -> None: ...
    def log_image(self, image: Image.Image, key: str, step: int, timestamp_ms: int) -> None: ...
    def log_model(self, saved: SavedNetwork, step: int, metrics: Mapping[str, float], timestamp_ms: int) -> None: ...
