"""How often the gate's comparison of speed is wrong while others compute on every core.

    python -m experiments.benchmarks.gate --rounds 200

The plain net against itself (it must not be too slow) and against one that takes twice as long (that must be).
"""

from collections.abc import Callable

import cyclopts
import numpy as np
import torch

from experiments.benchmarks.busy import busy_processes
from kmnist.config import TrainConfig
from kmnist.cores import available_cores
from kmnist.data.kmnist import SPEC
from kmnist.inference import Classifier
from kmnist.models.build import build
from kmnist.registry.comparison import compare_speed
from kmnist.registry.gate import SLOWDOWN

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(*, rounds: int = 200, seed: int = 0) -> None:
    """Print in how many rounds each comparison refused.

    Parameters
    ----------
    rounds
        comparisons of each kind
    seed
        of the weights
    """
    torch.set_num_threads(1)
    classifier = Classifier(build(TrainConfig.parse({}).net, SPEC, seed=seed).eval(), SPEC, "ours")
    image = np.zeros(SPEC.shape, np.uint8)

    def once() -> None:
        classifier.predict(image)

    def twice() -> None:
        once()
        once()

    def refused(candidate: Callable[[], None]) -> int:
        return sum(compare_speed(candidate, once, SLOWDOWN)[0].is_significant for _ in range(rounds))

    with busy_processes(available_cores()):
        print(f"against itself: refused in {refused(once)} of {rounds} rounds")
        print(f"taking twice as long: refused in {refused(twice)} of {rounds} rounds")


if __name__ == "__main__":
    app()
