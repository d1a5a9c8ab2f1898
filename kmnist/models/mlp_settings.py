"""The settings of the multilayer perceptrons."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kmnist.models.families import Family, NetSettings
from kmnist.settings import Choices, Layers, Range, Searched


def split_commas(value: Any) -> Any:
    """``"512,256"`` -> ``["512", "256"]``; everything else is left to pydantic."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, int) else value


class PlainSettings(NetSettings):
    """The report's ``Classifier``."""

    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65_536)], ...],
        BeforeValidator(split_commas),
        Searched(Layers(count=Range(low=1, high=4), width=Range(low=64, high=1024, log=True))),
    ] = Field(
        (512, 256, 128, 64), min_length=1, max_length=100, description="widths of the hidden layers, comma-separated"
    )

    batch_norm: Annotated[bool, Searched(Choices(values=(False, True)), unasked=False)] = Field(
        False, description="batch normalisation before each ReLU"
    )

    @property
    def summary(self) -> str:
        """For example ``512-256``."""
        return "-".join(str(width) for width in self.hidden)


class DropoutSettings(PlainSettings):
    """The report's ``ClassifierWithDropout``."""

    dropout: Annotated[float, Searched(Range(low=0, high=0.6))] = Field(
        0.5, ge=0, lt=1, description="probability of dropping a hidden unit"
    )

    @property
    def summary(self) -> str:
        """For example ``512-256 p0.5``."""
        return f"{super().summary} p{self.dropout:g}"


PLAIN = Family(PlainSettings, "kmnist.models.mlp:plain")
DROPOUT = Family(DropoutSettings, "kmnist.models.mlp:dropout")
