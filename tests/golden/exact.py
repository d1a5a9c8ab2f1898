"""``python -m tests.golden.exact``: losses of the nets on images made of whole numbers, to the last digit.

A processor chooses its kernels, and with them the order of sums. So this runs in a process of its own with the plainest
kernels (``ENVIRONMENT``), and prints first what they make of a few sums: only where this is what it was when the losses
were written down can they be compared digit for digit.
"""

import hashlib
from itertools import islice

import numpy as np
import torch

from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.data.kmnist import SPEC
from kmnist.models.build import build
from kmnist.models.normalise import Normalise
from kmnist.training.compute import Compute
from kmnist.training.fit import fit
from tests.nets import on_valid

ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "default",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
EPOCHS = 3
ARCHS = ("plain", "dropout")


def images(count: int, seed: int) -> Images:
    """Each class a pattern of its own under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    patterns = np.random.default_rng(0).integers(0, 256, (10, 28, 28))
    pixels = (patterns[labels] + 2 * rng.integers(0, 256, (count, 28, 28))) // 3
    return Images(pixels.astype(np.uint8), labels)


def arithmetic() -> str:
    """A digest of what this processor makes of sums, exponentials and roots."""
    torch.manual_seed(0)
    left, right = torch.randn(300, 200), torch.randn(200, 100)
    parts = [left @ right, (left @ right).log_softmax(1), left.abs().sqrt(), left.exp().sum(0), torch.rand(1000)]
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]


def losses(arch: str) -> list[str]:
    """Training and validation loss of the first epochs."""
    config = TrainConfig.parse({"arch": arch, "epochs": EPOCHS, "precision": "fp32", "label_smoothing": "0.1"})
    model = build(config.net, SPEC, normalise=Normalise(0.4, 0.2))
    epochs = islice(fit(model, images(2_000, 1), images(500, 2), config, Compute()), EPOCHS)
    return [repr(loss) for epoch in epochs for loss in (epoch.train.loss, on_valid(epoch).loss)]


def main() -> None:
    torch.set_num_threads(1)
    print("arithmetic", arithmetic())
    for arch in ARCHS:
        print(arch, *losses(arch))


if __name__ == "__main__":
    main()
