"""Pre-activation residual networks (He et al., https://arxiv.org/abs/1603.05027) for small images.

A block has no ReLU before its first convolution and a norm after its last (Han, Kim and Kim,
https://arxiv.org/abs/1610.02915, section 3.3).
"""

from collections import OrderedDict

from torch import Tensor, nn

from kmnist.data.spec import DataSpec
from kmnist.models.cnn import AsChannel, channels_last
from kmnist.models.convolutional_settings import ResnetSettings


class Block(nn.Module):
    """norm, conv, norm, ReLU, conv, norm; added to what came in, which is averaged and padded where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            halved = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(halved, nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        residual: Tensor = self.shortcut(features) + self.body(features)
        return residual


def resnet(settings: ResnetSettings, spec: DataSpec) -> nn.Module:
    """A first convolution, three stages of ``blocks`` blocks, the mean of each feature, classes."""
    width = settings.width
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        channel=AsChannel(), first=nn.Conv2d(1, width, 3, padding=1, bias=False)
    )
    inputs = width
    for stage in range(3):
        outputs = width * 2**stage
        for number in range(settings.blocks):
            stride = 2 if stage and not number else 1
            layers[f"stage{stage + 1}_{number + 1}"] = Block(inputs, outputs, stride)
            inputs = outputs
    layers |= {"norm": nn.BatchNorm2d(inputs), "relu": nn.ReLU(), "mean": nn.AdaptiveAvgPool2d(1)}
    layers |= {"flatten": nn.Flatten(), "classes": nn.Linear(inputs, len(spec.classes))}
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return channels_last(nn.Sequential(layers))
