"""The settings of a training. Knows no torch: the command's help reads it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from kmnist.settings import Choice, Choices, Range, Registry, Searched, Settings

#: Each takes (model, learning rate, weight decay) to a list of torch's optimizers.
OPTIMIZERS: Registry[Callable[..., Any]] = Registry(
    "optimizer",
    {
        "adam": "kmnist.training.optimizers.adam:adam",
        "adamw": "kmnist.training.optimizers.adam:adamw",
        "sgd": "kmnist.training.optimizers.sgd:sgd",
        "rmsprop": "kmnist.training.optimizers.rmsprop:rmsprop",
        "muon": "kmnist.training.optimizers.muon:muon",
    },
)
#: Each takes the share of the training that is done, from 0 to below 1, to the share of the peak learning rate.
SCHEDULES: Registry[Callable[[float], float]] = Registry(
    "schedule",
    {name: f"kmnist.training.schedules:{name}" for name in ("constant", "cosine", "onecycle", "step", "plateau")},
)


class BatchSettings(Settings):
    """How often the images are looked at, and how many at once."""

    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training images")
    batch_size: Annotated[int, Searched(Choices(values=(64, 128, 256, 512)))] = Field(
        128, ge=1, description="images in one step of the optimizer"
    )


class OptimisationSettings(Settings):
    """How weights follow from gradients."""

    learning_rate: Annotated[float, Searched(Range(low=1e-4, high=1e-2, log=True))] = Field(
        0.001, gt=0, le=100, description="step size; the peak of the schedule"
    )
    optimizer: Annotated[str, Choice(OPTIMIZERS), Searched(Choices(values=("adam", "adamw")))] = Field(
        "adam", description="what turns gradients into steps"
    )
    schedule: Annotated[str, Choice(SCHEDULES), Searched(Choices(values=("constant", "cosine", "onecycle")))] = Field(
        "constant", description="learning rate over time"
    )
    weight_decay: Annotated[float, Searched(Range(low=1e-6, high=0.1, log=True))] = Field(
        0.0, ge=0, le=1, description="weight decay of matrices and kernels; apart from the gradient in adamw and muon"
    )
    warmup: Annotated[float, Searched(Range(low=0, high=0.2), unasked=False)] = Field(
        0.0, ge=0, le=0.9, description="share of the training over which the learning rate first rises from 0"
    )
    clip: float = Field(0.0, ge=0, description="largest norm of the gradient of all weights; 0: no limit")
    ema: Annotated[float, Searched(Choices(values=(0.0, 0.99, 0.999)), unasked=False)] = Field(
        0.0, ge=0, lt=1, description="decay of the running average of the weights that is evaluated and kept; 0: none"
    )


class FitSettings(OptimisationSettings, BatchSettings):
    """All that ``fit`` is told."""

    label_smoothing: Annotated[float, Searched(Range(low=0, high=0.2))] = Field(
        0.0, ge=0, lt=1, description="probability moved from the label to all classes"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of the matrix products: fp32, bf16, or auto (what the processor is fast at)"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights, split, data order and dropout")
