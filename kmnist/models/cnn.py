"""A small convolutional network: 3 x 3 convolutions with batch norm, halved twice, the maximum of each feature."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from kmnist.data.spec import DataSpec
from kmnist.models.convolutional_settings import CnnSettings


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its kernels in the order of memory that is faster on CPUs and on GPUs."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class AsChannel(nn.Module):
    """(B, H, W) -> (B, 1, H, W)."""

    def forward(self, pixels: Tensor) -> Tensor:
        """One channel more."""
        return pixels.unsqueeze(1)


def cnn(settings: CnnSettings, spec: DataSpec) -> nn.Module:
    """Convolutions of ``channels``; the image is halved after a third and after two thirds of them.

    With a ``stride`` of 2 the first convolution halves it instead, by kernels of 4 x 4: the layers at full size, where
    a small net spends most of its time, are left out.
    """
    count = len(settings.channels)
    halved_after = {max(count // 3, 1), max(2 * count // 3, 2)} if count > 2 else {1}
    if settings.stride == 2:
        halved_after.remove(min(halved_after))
    layers: OrderedDict[str, nn.Module] = OrderedDict(channel=AsChannel())  # (B, 1, H, W)
    for number, (inputs, outputs) in enumerate(pairwise((1, *settings.channels)), start=1):
        kernel, stride = (4, 2) if number == 1 and settings.stride == 2 else (3, 1)
        layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
        if number in halved_after:
            layers[f"pool{number}"] = nn.MaxPool2d(2, ceil_mode=True)
        layers[f"relu{number}"] = nn.ReLU()  # of the maxima: the same as before them, of a quarter of the numbers
    layers["strongest"] = nn.AdaptiveMaxPool2d(1)
    layers["flatten"] = nn.Flatten()  # (B, channels[-1])
    if settings.dropout:
        layers["dropout"] = nn.Dropout(settings.dropout)
    layers["classes"] = nn.Linear(settings.channels[-1], len(spec.classes))
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return channels_last(nn.Sequential(layers))
