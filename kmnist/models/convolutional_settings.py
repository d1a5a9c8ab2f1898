"""The settings of the convolutional networks."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from kmnist.models.families import Family, NetSettings
from kmnist.models.mlp_settings import split_commas
from kmnist.settings import Choices, Range, Searched

Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], BeforeValidator(split_commas)]


class CnnSettings(NetSettings):
    """A few convolutions, made for small images and for speed on a CPU."""

    channels: Annotated[
        Widths, Searched(Choices(values=("16,32,64,64", "24,64,64,128,128", "32,32,64,64,128,128", "32,64,128,128")))
    ] = Field(
        (24, 64, 64, 128, 128), min_length=2, max_length=100, description="widths of the convolutions, comma-separated"
    )
    stride: Annotated[int, Searched(Choices(values=(1, 2)))] = Field(
        1, ge=1, le=2, description="pixels from one position of the first convolution to the next; 2: in half the time"
    )
    dropout: Annotated[float, Searched(Range(low=0, high=0.5))] = Field(
        0.0, ge=0, lt=1, description="probability of dropping a feature before the last layer"
    )

    @property
    def summary(self) -> str:
        """For example ``24-64-64``."""
        return "-".join(str(width) for width in self.channels)


class ResnetSettings(NetSettings):
    """A pre-activation residual network for small images: three stages of blocks of two convolutions."""

    blocks: Annotated[int, Searched(Range(low=1, high=5))] = Field(
        3, ge=1, le=100, description="residual blocks in each of the three stages: 6 * blocks + 2 layers"
    )
    width: Annotated[int, Searched(Choices(values=(8, 16, 32)))] = Field(
        16, ge=1, le=1024, description="channels of the first stage; each further one has twice as many"
    )

    @property
    def summary(self) -> str:
        """For example ``20 x16``."""
        return f"{6 * self.blocks + 2} x{self.width}"


CNN = Family(CnnSettings, "kmnist.models.cnn:cnn")
RESNET = Family(ResnetSettings, "kmnist.models.resnet:resnet")
