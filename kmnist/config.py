"""``TrainConfig``: every setting that decides a training's numbers, defined once.

The command line, ``MLproject``, experiment files and MLflow's parameters are all read from this model. What does not
decide numbers (data folder, device, tracking server) is an argument of the command, not a setting. Those that a study
searches carry their range.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from kmnist.ranges import Choices, Layers, Range, SearchRange
from kmnist.settings import Settings


def _split_commas(value: Any) -> Any:
    """``"512,256"`` -> ``["512", "256"]``; everything else is left to pydantic."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, int) else value


def _resolve_dropout(value: Any, info: ValidationInfo) -> Any:
    """``auto`` is what the report's architecture means by it."""
    if value in (None, "auto"):
        return 0.5 if info.data.get("arch") == "dropout" else 0.0
    return value


def _refuse_dropout(value: float, info: ValidationInfo) -> float:
    """A setting without an effect would be believed by whoever reads the run."""
    if value and info.data.get("arch") == "plain":
        raise ValueError("arch=plain has no dropout; use arch=dropout, or leave dropout out")
    return value


@dataclass(frozen=True)
class Searched:
    """Marks a setting that a study searches by default, and says where.

    Attributes:
        over: the range.
        arch: the only architecture that has the setting; ``None``: all have it.
    """

    over: SearchRange
    arch: str | None = None


class TrainConfig(Settings):
    """The settings of one training run."""

    arch: Literal["plain", "dropout"] = Field("plain", description="architecture: plain or dropout")
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65_536)], ...],
        BeforeValidator(_split_commas),
        Searched(Layers(count=Range(low=1, high=4), width=Range(low=64, high=1024, log=True))),
    ] = Field((512, 256, 128, 64), min_length=1, description="widths of the hidden layers, comma-separated")
    dropout: Annotated[
        float,
        BeforeValidator(_resolve_dropout),
        AfterValidator(_refuse_dropout),
        Searched(Range(low=0, high=0.6), arch="dropout"),
    ] = Field(
        cast(float, "auto"),
        ge=0,
        lt=1,
        description="probability of dropping a hidden unit; auto: 0.5 for arch=dropout, else 0",
    )
    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training images")
    batch_size: Annotated[int, Searched(Choices(values=(64, 128, 256, 512)))] = Field(
        128, ge=1, description="images in one step of the optimizer"
    )
    learning_rate: Annotated[float, Searched(Range(low=1e-4, high=1e-2, log=True))] = Field(
        0.001, gt=0, le=100, description="step size; the peak of the schedule"
    )
    optimizer: Annotated[Literal["adam", "adamw", "sgd", "rmsprop"], Searched(Choices(values=("adam", "adamw")))] = (
        Field("adam", description="adam, adamw, sgd (Nesterov momentum 0.9) or rmsprop")
    )
    schedule: Annotated[
        Literal["constant", "cosine", "onecycle", "step"], Searched(Choices(values=("constant", "cosine", "onecycle")))
    ] = Field(
        "constant", description="learning rate over time: constant, cosine, onecycle or step (a tenth at 1/2 and 3/4)"
    )
    weight_decay: Annotated[float, Searched(Range(low=1e-6, high=0.1, log=True))] = Field(
        0.0, ge=0, le=1, description="weight decay; decoupled from the gradient in adamw only"
    )
    label_smoothing: Annotated[float, Searched(Range(low=0, high=0.2))] = Field(
        0.0, ge=0, lt=1, description="probability moved from the label to all classes"
    )
    normalise: Literal["standard", "unit"] = Field(
        "standard", description="pixels: standard (mean 0, deviation 1) or unit (0 to 1)"
    )
    valid_fraction: float = Field(0.1, gt=0, lt=1, description="part of the training images kept for validation")
    select_by: Literal["valid_loss", "valid_accuracy"] = Field(
        "valid_accuracy", description="what makes an epoch the best: valid_loss or valid_accuracy"
    )
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better one; 0: never")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of the matrix products: fp32, bf16, or auto (what the processor is fast at)"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights, split, data order and dropout")
    dataset: Literal["auto", "kmnist", "sample"] = Field(
        "auto", description="kmnist, sample (drawn by the program), or auto (kmnist where it can be had)"
    )

    @classmethod
    def searched(cls) -> dict[str, Searched]:
        """The settings that a study searches if it is told nothing else, in the order of their definition."""
        marks = {name: field.metadata for name, field in cls.model_fields.items()}
        return {name: mark for name, metadata in marks.items() for mark in metadata if isinstance(mark, Searched)}

    def changed(self) -> dict[str, str]:
        """The settings, as text, that differ from the defaults: what one must type to repeat this config."""
        usual = type(self).parse({"arch": self.arch})
        return {
            name: text
            for name, text in self.as_text().items()
            if name == "arch" or getattr(self, name) != getattr(usual, name)
        }
