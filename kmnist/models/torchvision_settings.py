"""The settings of torchvision's networks."""

from typing import Annotated

from pydantic import Field

from kmnist.models.families import Family, NetSettings
from kmnist.settings import Choices, Searched


class TorchvisionSettings(NetSettings):
    """A network of torchvision's by name, with one grey channel and our classes."""

    size: Annotated[int, Searched(Choices(values=(32, 48, 64)), unasked=False)] = Field(
        0,
        ge=0,
        le=512,
        description="side that images are enlarged to, in pixels; 0: 32, or the least that the network takes",
    )

    @property
    def side(self) -> int:
        """That images are enlarged to."""
        return self.size or (75 if self.arch == "inception_v3" else 32)

    @property
    def summary(self) -> str:
        """For example ``at 32``."""
        return f"at {self.side}"


TORCHVISION = Family(TorchvisionSettings, "kmnist.models.torchvision:network")
