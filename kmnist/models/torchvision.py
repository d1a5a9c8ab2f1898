"""torchvision's classifiers, their first layer and their input adapted to small grey images."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmnist.data.spec import DataSpec
from kmnist.extras import require
from kmnist.models.cnn import channels_last
from kmnist.models.torchvision_cpu import torchvision_module
from kmnist.models.torchvision_settings import TorchvisionSettings


class Enlarge(nn.Module):
    """(B, H, W) -> (B, 1, side, side), smoothly."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, pixels: Tensor) -> Tensor:
        """Grey images as one channel of the size that the network takes."""
        size = (self.side, self.side)
        return F.interpolate(pixels.unsqueeze(1), size, mode="bilinear", align_corners=False)


def network(settings: TorchvisionSettings, spec: DataSpec) -> nn.Module:
    """The network of the name ``settings.arch``.

    Raises:
        MissingExtra: torchvision is not installed.
    """
    require("vision", f"arch={settings.arch}")
    models = torchvision_module("models")
    options = {"aux_logits": False, "init_weights": True} if settings.arch == "inception_v3" else {}
    body: nn.Module = models.get_model(settings.arch, num_classes=len(spec.classes), **options)
    _take_grey(body)
    layers = OrderedDict(enlarge=Enlarge(settings.side), body=body, log_softmax=nn.LogSoftmax(dim=1))
    return channels_last(nn.Sequential(layers))


def _take_grey(body: nn.Module) -> None:
    """Let the first convolution take one channel: as if it had seen it three times, whatever its weights are."""
    name, first = next((name, layer) for name, layer in body.named_modules() if isinstance(layer, nn.Conv2d))
    grey = nn.Conv2d(
        1,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    with torch.no_grad():
        grey.weight.copy_(first.weight.sum(dim=1, keepdim=True))
        if first.bias is not None and grey.bias is not None:
            grey.bias.copy_(first.bias)
    parent, _, own = name.rpartition(".")
    setattr(body.get_submodule(parent), own, grey)
