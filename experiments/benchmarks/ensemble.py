"""What an ensemble costs: pictures a second of models side by side, asked in turn, so that all meet the same load.

python -m experiments.benchmarks.ensemble runs:/MEMBER/model runs:/ENSEMBLE/model --threads 2
"""

import time
from statistics import median

import cyclopts
import numpy as np
import torch

from kmnist.environment import set_environment
from kmnist.registry import load_model

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *models: str, pictures: int = 1_000, rounds: int = 5, threads: int = 1, tracking_uri: str | None = None
) -> None:
    """Print the median of each, and how many times the first one's time it takes.

    Parameters
    ----------
    models
        names of models: runs:/ID/model, models:/NAME/VERSION, ...
    pictures
        answered for at once
    rounds
        times that each is asked, after one to warm up
    threads
        of the CPU
    tracking_uri
        MLflow server or database
    """
    set_environment()
    torch.set_num_threads(threads)
    loaded = [load_model(name, tracking_uri=tracking_uri) for name in models]
    images = np.random.default_rng(0).integers(0, 256, (pictures, *loaded[0].spec.shape)).astype(np.uint8)
    seconds: list[list[float]] = [[] for _ in loaded]
    for number in range(rounds + 1):
        for model, taken in zip(loaded, seconds):
            began = time.perf_counter()
            model.predict(images)
            if number:
                taken.append(time.perf_counter() - began)
    first = median(seconds[0])
    for model, taken in zip(loaded, seconds):
        each = median(taken)
        print(f"{model.name}: {pictures / each:,.0f} pictures a second, {each / first:.2f} times the first")


if __name__ == "__main__":
    app()
