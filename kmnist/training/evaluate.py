"""What a network says about images, and how good that is; in fp32, with dropout off."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kmnist.data.images import Images
from kmnist.metrics import Metrics, score

EVALUATION_BATCH = 2_048


def evaluate(model: nn.Module, images: Images, device: torch.device | str = "cpu") -> tuple[Metrics, Tensor]:
    """Metrics of ``model`` on ``images`` and its log-probabilities (N, C) on the CPU; fp32, dropout off."""
    pixels, labels = to_device(images, torch.device(device))
    log_probabilities = predict(model, pixels)
    return score(log_probabilities, labels), log_probabilities.cpu()


@torch.no_grad()
def predict(model: nn.Module, pixels: Tensor, weights: Mapping[str, Tensor] | None = None) -> Tensor:
    """Log-probabilities (N, C) of pixels (N, H, W) in fp32 with dropout off; the model keeps its mode.

    Args:
        model: the network.
        pixels: any dtype, 0..255.
        weights: to compute with in the place of the model's own.
    """
    training = model.training
    model.eval()
    with_weights = dict(model.state_dict() if weights is None else weights)
    output = torch.cat([functional_call(model, with_weights, (batch,)) for batch in pixels.split(EVALUATION_BATCH)])
    model.train(training)
    return output


def to_device(images: Images, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixels uint8 (N, H, W) and labels int64 (N,) on ``device``."""
    return torch.from_numpy(images.pixels).to(device), torch.from_numpy(images.labels).to(device)
