"""One of everything that can be added, as somebody outside of this package would write it."""

from pathlib import Path

import numpy as np
import torch
from optuna import pruners, samplers
from pydantic import Field
from torch import Tensor, nn, optim

from kmnist.data import Dataset, DataSpec, Images
from kmnist.data.forms.found import WHOLE, ArrayPart, Found
from kmnist.data.spec import labels
from kmnist.experiment.results import Evaluated
from kmnist.models.families import Family, NetSettings
from kmnist.report import Report, Section
from kmnist.report.blocks import Paragraph
from kmnist.tuning.pruners import Pruner
from kmnist.tuning.samplers import Place


def squares() -> Dataset:
    """A data set: three sizes of squares, 12 x 16."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> Images:
        numbers = np.arange(count) % 3
        pixels = rng.integers(0, 60, (count, 12, 16)).astype(np.uint8)
        for image, number in zip(pixels, numbers):
            image[2 : 4 + 3 * number, 2 : 4 + 3 * number] = 255
        return Images(pixels, numbers)

    spec = DataSpec("squares", "Squares", labels(("small", "middle", "large"), "・□■"), (12, 16))
    return Dataset.build(spec, "tests.toys.squares()", draw(120), draw(30))


def text_pictures(path: Path) -> Found | None:
    """A form of data: pictures 2 x 2 in text, a class and four signs a line."""
    if path.suffix != ".txt":
        return None
    lines = [line.split() for line in path.read_text().splitlines()]
    pixels = np.array([[255 * (sign == "#") for sign in signs] for _, signs in lines]).reshape(-1, 2, 2)
    return Found("text", {WHOLE: ArrayPart(pixels, [name for name, _ in lines], path.name)}, path.parent)


class LineSettings(NetSettings):
    """An architecture: one layer, with a setting of its own."""

    gain: float = Field(1.0, gt=0, description="what the weights are multiplied by")


def line(settings: LineSettings, spec: DataSpec) -> nn.Module:
    layer = nn.Linear(spec.shape[0] * spec.shape[1], len(spec.classes))
    with torch.no_grad():
        layer.weight *= settings.gain
    return nn.Sequential(nn.Flatten(), layer, nn.LogSoftmax(dim=1))


LINE = Family(LineSettings, "tests.toys:line")


def signs(model: nn.Module, learning_rate: float, weight_decay: float) -> list[optim.Optimizer]:
    """An optimizer."""
    return [optim.Rprop(model.parameters(), learning_rate)]


def falling(done: float) -> float:
    """A schedule."""
    return 1 - done


def least_recall(log_probabilities: Tensor, labels: Tensor) -> float | None:
    """A metric: the recall of the weakest class."""
    hits = log_probabilities.argmax(dim=1) == labels
    return min(float(hits[labels == number].double().mean()) for number in labels.unique())


def dot(evaluated: Evaluated) -> bytes:
    """A figure."""
    return f"{evaluated.result.test.accuracy}".encode()


def count(report: Report) -> Section:
    """A section of a report."""
    runs = len(report.sources)
    return Section("Count", [Paragraph(f"It is of **{runs}** runs.")], {"runs": runs})


def middle(place: Place) -> samplers.BaseSampler:
    """A sampler."""
    return samplers.PartialFixedSampler({"learning_rate": 0.005}, samplers.RandomSampler(seed=place.seed))


IMPATIENT = Pruner(1, lambda epochs: pruners.ThresholdPruner(lower=2.0))
