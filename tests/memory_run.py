"""A ``Run`` that remembers, for tests that look at what a training says."""

from collections.abc import Mapping

from PIL import Image
from torch import nn

from kmnist.data import DataSpec, Images
from kmnist.network import SavedNetwork


class MemoryRun:
    """Everything that was logged, and the order of it."""

    id = "memory"

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.points: set[tuple[str, int, float, int | None]] = set()
        self.files: dict[str, bytes] = {}
        self.images: list[tuple[str, int]] = []
        self.models: list[tuple[nn.Module, int, dict[str, float]]] = []
        self.order: list[str] = []

    def log_params(self, params: Mapping[str, str]) -> None:
        self.params.update(params)

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_note(self, markdown: str) -> None:
        self.tags["note"] = markdown

    def log_data(self, split: str, images: Images, spec: DataSpec, source: str) -> None:
        self.data[split] = images.digest

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        self.points |= {(key, step, value, timestamp_ms) for key, value in metrics.items()}
        self.order += [f"{key}@{step}" for key in metrics]

    def log_file(self, content: bytes, path: str) -> None:
        self.files[path] = content

    def log_image(self, image: Image.Image, key: str, step: int, timestamp_ms: int) -> None:
        self.images.append((key, step))

    def log_model(self, saved: SavedNetwork, step: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        self.models.append((saved.network, step, dict(metrics)))

    def curve(self, key: str) -> dict[int, float]:
        """Step -> value of a metric."""
        return {step: value for name, step, value, _ in sorted(self.points, key=str) if name == key}
