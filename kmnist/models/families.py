"""Which architectures there are. Knows no torch: the command's help reads it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from kmnist.settings import Choice, Registry, Settings

#: Of torchvision's classifiers; any other can be added by its name.
TORCHVISION_NAMES = (
    *("resnet18", "resnet34", "resnet50", "vgg11_bn", "vgg16_bn", "inception_v3"),
    *("densenet121", "mobilenet_v3_small"),
)
#: ``arch`` -> the family that it is of.
FAMILIES: "Registry[Family]" = Registry(
    "arch",
    {
        "plain": "kmnist.models.mlp_settings:PLAIN",
        "dropout": "kmnist.models.mlp_settings:DROPOUT",
        "cnn": "kmnist.models.convolutional_settings:CNN",
        "resnet": "kmnist.models.convolutional_settings:RESNET",
        "mixer": "kmnist.models.mixer_settings:MIXER",
        **dict.fromkeys(TORCHVISION_NAMES, "kmnist.models.torchvision_settings:TORCHVISION"),
    },
)
DEFAULT_ARCH = "plain"


class NetSettings(Settings):
    """Base of the settings of one family: those that decide the structure of its networks, with their search ranges."""

    arch: Annotated[str, Choice(FAMILIES)] = Field(DEFAULT_ARCH, description="architecture")

    @property
    def summary(self) -> str:
        """The structure in a word or two, for the name of a run."""
        return ""


@dataclass(frozen=True)
class Family:
    """Networks that have the same settings.

    Attributes:
        settings: their class.
        network: ``module:function`` that takes (settings, spec) to an ``nn.Module``: normalised pixels, float32
            (B, H, W) -> log-probabilities (B, classes).
    """

    settings: type[NetSettings]
    network: str
