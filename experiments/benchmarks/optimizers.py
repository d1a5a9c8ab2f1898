"""What a step of each optimizer takes, against torch's own Muon and against the forward and backward pass before it.

    python -m experiments.benchmarks.optimizers --arch mixer --threads 1

Each alone, with gradients at hand; seconds a step, median. torch's Muon gets the same weights seen as matrices.
"""

import statistics
import time
from collections.abc import Callable

import cyclopts
import torch
from torch import nn, optim

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.models.build import build
from kmnist.training.compute import keep_freed_memory, resolve_precision, set_threads, trial_step
from kmnist.training.optimizers.muon import as_matrix, muon
from kmnist.training.settings import OPTIMIZERS

STEPS = 10
app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(*, arch: str = "mixer", batch_size: int = 256, threads: int = 1) -> None:
    """Print milliseconds a step.

    Parameters
    ----------
    arch
        the net, with its default settings
    batch_size
        images of the forward and backward pass
    threads
        to compute with
    """
    set_threads(threads)
    keep_freed_memory()  # as a training does
    network = build(TrainConfig.parse({"arch": arch}).net, SPEC)
    pixels, labels = torch.randint(256, (batch_size, 28, 28), dtype=torch.uint8), torch.randint(10, (batch_size,))
    bf16 = resolve_precision("auto", torch.device("cpu")) == "bf16"
    print(f"{arch}, {threads} threads, {'bf16' if bf16 else 'fp32'}; median of {STEPS} steps")
    tell("forward and backward", trial_step(network, pixels, labels, bf16))
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    for name in OPTIMIZERS:
        optimizers = OPTIMIZERS[name](network, 0.001, 0.01)
        tell(name, lambda optimizers=optimizers: [optimizer.step() for optimizer in optimizers])  # type: ignore[misc]
    tell("muon, the matrices of torch", torchs(network).step)


def torchs(network: nn.Module) -> optim.Optimizer:
    """torch's Muon of what ours takes."""
    matrices = []
    for weight in muon(network, 0.001, 0.01)[-1].param_groups[0]["params"]:
        matrices.append(nn.Parameter(as_matrix(weight.detach().clone())))
        matrices[-1].grad = torch.randn_like(matrices[-1])
    return optim.Muon(matrices, 0.001, adjust_lr_fn="match_rms_adamw")


def tell(name: str, step: Callable[[], object]) -> None:
    """One line; the first step warms up."""
    seconds = []
    for _ in range(STEPS + 1):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    print(f"{name:28s}{1000 * statistics.median(seconds[1:]):8.1f} ms", flush=True)


if __name__ == "__main__":
    app()
