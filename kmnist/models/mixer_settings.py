"""The settings of the networks that mix patches."""

from typing import Annotated

from pydantic import Field

from kmnist.models.families import Family, NetSettings
from kmnist.settings import Choices, Range, Searched


class MixerSettings(NetSettings):
    """Perceptrons over patches: one across the patches, one across the features of each, in turn; no convolution."""

    patch: Annotated[int, Searched(Choices(values=(2, 4, 7)))] = Field(
        4, ge=1, le=64, description="side of a patch, in pixels"
    )
    features: Annotated[int, Searched(Choices(values=(64, 96, 128, 192)))] = Field(
        128, ge=1, le=4096, description="of each patch"
    )
    depth: Annotated[int, Searched(Range(low=2, high=8))] = Field(
        4, ge=1, le=100, description="times that patches and features are mixed"
    )

    @property
    def summary(self) -> str:
        """For example ``4x128 p4``."""
        return f"{self.depth}x{self.features} p{self.patch}"


MIXER = Family(MixerSettings, "kmnist.models.mixer:mixer")
