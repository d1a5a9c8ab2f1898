"""``TrainConfig``: every setting that decides a training's numbers, defined once.

The command line, ``MLproject``, experiment files and MLflow's parameters are all read from this model. What does not
decide numbers (data folder, device, tracking server) is an argument of the command, not a setting.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from kmnist.errors import SettingError


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


class TrainConfig(BaseModel):
    """The settings of one training run. Immutable; build it with :meth:`parse` to get readable errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    arch: Literal["plain", "dropout"] = Field("plain", description="architecture: plain or dropout")
    hidden: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], BeforeValidator(_split_commas)] = Field(
        (512, 256, 128, 64), min_length=1, description="widths of the hidden layers, comma-separated"
    )
    dropout: Annotated[float, BeforeValidator(_resolve_dropout), AfterValidator(_refuse_dropout)] = Field(
        cast(float, "auto"),
        ge=0,
        lt=1,
        description="probability of dropping a hidden unit; auto: 0.5 for arch=dropout, else 0",
    )
    epochs: int = Field(10, ge=1, le=100_000, description="passes over the training images")
    batch_size: int = Field(128, ge=1, description="images in one step of the optimizer")
    learning_rate: float = Field(0.001, gt=0, le=100, description="step size; the peak of the schedule")
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        "adam", description="adam, adamw, sgd (Nesterov momentum 0.9) or rmsprop"
    )
    schedule: Literal["constant", "cosine", "onecycle", "step"] = Field(
        "constant", description="learning rate over time: constant, cosine, onecycle or step (a tenth at 1/2 and 3/4)"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="weight decay; decoupled from the gradient in adamw only")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="probability moved from the label to all classes")
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
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """Build a config from text or values, for example ``{"learning_rate": "1e-3"}``.

        Raises:
            SettingError: one line for each setting that is unknown, malformed or out of its range.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            first = {problem["loc"][0]: problem for problem in reversed(error.errors())}  # one line a setting
            raise SettingError("\n".join(_explain(cls, problem) for problem in reversed(first.values()))) from None

    def as_text(self) -> dict[str, str]:
        """Each setting as the text that :meth:`parse` reads back to an equal config."""
        return {name: to_text(getattr(self, name)) for name in type(self).model_fields}

    def changed(self) -> dict[str, str]:
        """The settings, as text, that differ from the defaults: what one must type to repeat this config."""
        usual = type(self).parse({"arch": self.arch})
        return {
            name: text
            for name, text in self.as_text().items()
            if name == "arch" or getattr(self, name) != getattr(usual, name)
        }


def to_text(value: Any) -> str:
    """A setting's value as text: tuples joined by commas, floats as Python's repr (YAML reads ``1e-3`` as a string)."""
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return repr(value) if isinstance(value, float) else str(value)


def _explain(config: type[BaseModel], problem: Any) -> str:
    """One problem found by pydantic as a line that shows the value, the rule and the way out."""
    name = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(name, config.model_fields, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the settings are: {', '.join(config.model_fields)}"
        return f"unknown setting {name!r}; {hint}"
    value = problem["input"]
    hint = ""
    if problem["type"] == "literal_error" and isinstance(value, str):
        choices = [part for part in problem["ctx"]["expected"].split("'") if part.isidentifier() and part != "or"]
        near = get_close_matches(value, choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
    rule = problem["msg"].removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
    rule = rule.replace("Input should have ", "must have ", 1).replace("Tuple should have ", "must have ", 1)
    return f"{name}={to_text(value) if not isinstance(value, list) else ','.join(map(str, value))}: {rule}{hint}"
