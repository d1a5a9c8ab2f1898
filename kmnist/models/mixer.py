"""MLP-Mixer (Tolstikhin et al., https://arxiv.org/abs/2105.01601): patches instead of convolutions."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from kmnist.data.spec import DataSpec
from kmnist.models.mixer_settings import MixerSettings


class Patches(nn.Module):
    """(B, H, W) -> (B, P, side * side): squares that do not overlap, of the image with as much border as they need."""

    def __init__(self, shape: tuple[int, int], side: int) -> None:
        super().__init__()
        self._side = side
        self._down, self._right = (-length % side for length in shape)
        self.count = (shape[0] + self._down) * (shape[1] + self._right) // side**2

    def forward(self, images: Tensor) -> Tensor:
        """Rows of patches, one after the other."""
        side = self._side
        if self._down or self._right:
            images = functional.pad(images, (0, self._right, 0, self._down))
        rows = images.unflatten(2, (-1, side)).unflatten(1, (-1, side))  # (B, H / side, side, W / side, side)
        patches: Tensor = rows.transpose(2, 3).flatten(3).flatten(1, 2)
        return patches


class Mixing(nn.Module):
    """One perceptron over the patches of each feature, one over the features of each patch; each is added."""

    def __init__(self, patches: int, features: int) -> None:
        super().__init__()
        self.patch_norm, self.feature_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.patch_mlp, self.feature_mlp = _perceptron(patches, features // 2), _perceptron(features, 2 * features)

    def forward(self, mixed: Tensor) -> Tensor:
        """(B, P, features) -> the same shape."""
        mixed = mixed + self.patch_mlp(self.patch_norm(mixed).transpose(1, 2)).transpose(1, 2)
        result: Tensor = mixed + self.feature_mlp(self.feature_norm(mixed))
        return result


class PatchMean(nn.Module):
    """(B, P, features) -> (B, features)."""

    def forward(self, mixed: Tensor) -> Tensor:
        """The mean over the patches."""
        return mixed.mean(dim=1)


def mixer(settings: MixerSettings, spec: DataSpec) -> nn.Module:
    """Patches, ``depth`` times mixed, the mean of each feature, classes."""
    patches = Patches(spec.shape, settings.patch)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        patches=patches, first=nn.Linear(settings.patch**2, settings.features)
    )
    for number in range(1, settings.depth + 1):
        layers[f"mixing{number}"] = Mixing(patches.count, settings.features)
    layers |= {"norm": nn.LayerNorm(settings.features), "mean": PatchMean()}
    layers["classes"] = nn.Linear(settings.features, len(spec.classes))
    layers["log_softmax"] = nn.LogSoftmax(dim=1)
    return nn.Sequential(layers)


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, max(hidden, 1)), nn.GELU(), nn.Linear(max(hidden, 1), width))
