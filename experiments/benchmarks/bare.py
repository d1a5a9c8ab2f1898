"""What a training cannot do without: the products of its layers, forward and backward, and the optimizer's steps."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class _Product:
    """One layer's operands, in the precision in which they are multiplied."""

    layer: nn.Linear | nn.Conv2d
    inputs: Tensor
    weight: Tensor
    outputs: Tensor
    first: bool  # its inputs are the images, which need no gradient

    def run(self) -> None:
        """Forward, and backward to the weights and to the inputs."""
        if isinstance(self.layer, nn.Linear):
            self.inputs @ self.weight.T
            self.outputs.T @ self.inputs
            if not self.first:
                self.outputs @ self.weight
            return
        shape = {"stride": self.layer.stride, "padding": self.layer.padding, "dilation": self.layer.dilation}
        torch.ops.aten.convolution(
            self.inputs, self.weight, None, **shape, transposed=False, output_padding=[0, 0], groups=self.layer.groups
        )
        torch.ops.aten.convolution_backward(
            self.outputs,
            self.inputs,
            self.weight,
            None,
            **shape,
            transposed=False,
            output_padding=[0, 0],
            groups=self.layer.groups,
            output_mask=[not self.first, True, False],
        )


def bare_products(network: nn.Module, batch_size: int, images: int, bf16: bool) -> float:
    """Seconds of an epoch's products alone.

    Args:
        network: pixels (B, 28, 28) -> (B, C); its linear layers and convolutions are counted.
        batch_size: images in a step.
        images: of an epoch.
        bf16: whether they are multiplied in bf16, else in fp32.
    """
    products = _products(network, batch_size, torch.bfloat16 if bf16 else torch.float32)
    with torch.no_grad():
        started = time.perf_counter()
        for _ in range(-(-images // batch_size)):
            for product in products:
                product.run()
        return time.perf_counter() - started


def bare_steps(network: nn.Module, batch_size: int, images: int) -> float:
    """Seconds of an epoch's steps of Adam alone, all weights in one kernel; arguments as for :func:`bare_products`."""
    for weight in network.parameters():
        weight.grad = torch.rand_like(weight)
    adam = torch.optim.Adam(network.parameters(), fused=True)
    started = time.perf_counter()
    for _ in range(-(-images // batch_size)):
        adam.step()
    return time.perf_counter() - started


def _products(network: nn.Module, batch_size: int, dtype: torch.dtype) -> list[_Product]:
    found: list[_Product] = []

    def note(layer: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        found.append(
            _Product(layer, inputs[0].to(dtype), layer.weight.detach().to(dtype), outputs.to(dtype), first=not found)
        )

    handles = [
        layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    with torch.no_grad():
        network(torch.rand(batch_size, 28, 28))
    for handle in handles:
        handle.remove()
    return found
