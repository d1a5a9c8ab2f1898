"""Other ways to make the steps of an epoch: does the net gain by ``torch.compile``, or by weights kept in bf16?

    python -m experiments.benchmarks.steps --rounds 3
    python -m experiments.benchmarks.steps --rounds 3 --arch cnn

Each trains the same net on the 54,000 training images with Adam, round after round in turn. Compiling needs a C++
compiler; what it takes is told, and is not in the epochs. Quote the ratios.
"""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import cyclopts
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.benchmarks.rounds import print_rounds
from experiments.benchmarks.training import net, ours
from kmnist.cli.options import DataDir, Threads
from kmnist.config import TrainConfig
from kmnist.data.kmnist import load_kmnist
from kmnist.experiment import Splits, prepare
from kmnist.experiment.train import resolve_compute
from kmnist.training.compute import Compute

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *,
    arch: str = "plain",
    data_dir: DataDir = Path("data"),
    batch_size: int = 128,
    rounds: int = 3,
    threads: Threads = None,
) -> None:
    """Print the median seconds of an epoch of each way, and how many times ours that is.

    Parameters
    ----------
    arch
        the net, with its default settings
    data_dir
        folder of the four Kuzushiji-MNIST files
    batch_size
        images in one step
    rounds
        how often each way is gone
    threads
        of all [default: as many as our training takes here]
    """
    config = TrainConfig.parse({"arch": arch, "batch_size": batch_size, "epochs": 2, "dataset": "kmnist"})
    splits = prepare(config, load_kmnist(data_dir))
    compute = resolve_compute(config, net(config), splits.train, "cpu", threads)
    torch.set_num_threads(compute.threads)
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: ours(net(config), config, splits, compute),
        "compiled": lambda: ours(compiled(net(config)), config, splits, compute),
    }
    if compute.precision == "bf16":
        ways["bf16 copies of the weights"] = lambda: copied(net(config), config, splits, compute)
    print_rounds(ways, rounds, f"{arch}, batch {batch_size}, {compute.threads} threads, {compute.precision}")


def compiled(network: nn.Module) -> nn.Module:
    """The same net, compiled when it is first used; its weights are those of ``network``."""
    torch.compiler.reset()
    network.compile()
    return network


def copied(network: nn.Module, config: TrainConfig, splits: Splits, compute: Compute) -> float:
    """The same with a copy of all weights in bf16, made anew at each step, in the place of autocast's casts."""
    twin = copy.deepcopy(network).bfloat16()
    weights, copies = (list[Tensor](of.parameters()) for of in (network, twin))
    pixels, labels = torch.from_numpy(splits.train.pixels), torch.from_numpy(splits.train.labels).long()
    adam = torch.optim.Adam(weights, config["learning_rate"], fused=True)
    with compute.active():
        for _ in range(2):
            began = time.perf_counter()
            for batch in torch.randperm(len(labels)).split(config["batch_size"]):
                with torch.no_grad():
                    torch._foreach_copy_(copies, weights)
                images = pixels.index_select(0, batch).bfloat16()
                F.nll_loss(twin(images).float(), labels.index_select(0, batch)).backward()
                for weight, of in zip(weights, copies):
                    weight.grad, of.grad = None if of.grad is None else of.grad.float(), None
                adam.step()
    return time.perf_counter() - began


if __name__ == "__main__":
    app()
