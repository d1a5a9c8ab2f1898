"""What tracking costs: the same training, written down nowhere and in a real MLflow server on this machine, in turn.

python -m experiments.benchmarks.tracking --rounds 3 --epochs 20
"""

import statistics
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts

from kmnist.cli.options import DataDir
from kmnist.config import TrainConfig
from kmnist.data import Images
from kmnist.data.kmnist import load_kmnist
from kmnist.experiment import NullRun, Run, Splits, prepare, train
from kmnist.tracking import MlflowRun, connect, create_run
from tests.servers import MlflowServer

app = cyclopts.App(help=__doc__, help_format="plaintext")


@app.default
def main(
    *,
    data_dir: DataDir = Path("data"),
    batch_size: int = 512,
    epochs: int = 20,
    rounds: int = 3,
) -> None:
    """Print the median seconds from one epoch to the next with and without tracking, and their ratio.

    Parameters
    ----------
    data_dir
        folder of the four Kuzushiji-MNIST files
    batch_size
        images in one step
    epochs
        of each training
    rounds
        how often each of the two is trained
    """
    config = TrainConfig.parse({"batch_size": batch_size, "epochs": epochs, "dataset": "kmnist"})
    data = load_kmnist(data_dir)
    splits = prepare(config, data)
    ratios = []
    with TemporaryDirectory() as folder, ExitStack() as stack:
        server = MlflowServer(Path(folder))
        stack.callback(server.kill)
        server.start()
        client = connect(server.url)
        for number in range(rounds):
            plain = _seconds(config, splits, data.test, NullRun(), Path(folder) / "plain")
            entity = create_run(client, "benchmark", f"round {number}")
            with MlflowRun(client, entity, Path(folder) / entity.info.run_id) as run:
                tracked = _seconds(config, splits, data.test, run, run.folder)
            ratios.append(tracked / plain)
            print(
                f"round {number + 1}  an epoch untracked {plain:.3f} s  tracked {tracked:.3f} s  ratio {ratios[-1]:.3f}"
            )
    print(f"median ratio {statistics.median(ratios):.3f} ({epochs} epochs, batch {batch_size}, {rounds} rounds)")


def _seconds(config: TrainConfig, splits: Splits, test: Images, run: Run, folder: Path) -> float:
    """Median from the end of an epoch to the end of the next: what lies between two epochs counts, hiccups do not."""
    ends = [epoch.timestamp_ms for epoch in train(config, splits, test, run, folder).epochs]
    return statistics.median((later - earlier) / 1000 for earlier, later in pairwise(ends))


if __name__ == "__main__":
    app()
