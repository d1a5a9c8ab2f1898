"""How often the gate's comparison of speed is wrong while others compute on every core.

    python -m experiments.benchmarks.gate --rounds 200

The plain net against itself (it must not be too slow) and against one that takes twice as long (that must be).
"""

import multiprocessing
from collections.abc import Callable

import cyclopts
import numpy as np
import torch

from kmnist.config import TrainConfig
from kmnist.data.kmnist import SPEC
from kmnist.inference import Classifier
from kmnist.models.build import build
from kmnist.registry.comparison import compare_speed
from kmnist.registry.gate import SLOWER

app = cyclopts.App(help=__doc__, help_format="plaintext")


def work() -> None:
    """Keep one core busy."""
    while True:
        np.ones((200, 200)) @ np.ones((200, 200))


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
        return sum(compare_speed(candidate, once, SLOWER)[0].is_significant for _ in range(rounds))

    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=work, daemon=True) for _ in range(multiprocessing.cpu_count())]
    for process in others:
        process.start()
    try:
        print(f"against itself: refused in {refused(once)} of {rounds} rounds")
        print(f"taking twice as long: refused in {refused(twice)} of {rounds} rounds")
    finally:
        for process in others:
            process.kill()


if __name__ == "__main__":
    app()
