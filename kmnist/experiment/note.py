"""The note of a run: what a person reads first when they open it in MLflow. Markdown."""

from kmnist.config import TrainConfig
from kmnist.metrics import Metrics
from kmnist.settings import as_flags
from kmnist.training import Epoch

SAMPLE_WARNING = (
    "> **Trained on the drawn sample set, not on Kuzushiji-MNIST.** Its numbers say nothing about KMNIST, "
    "and this model cannot be registered.\n\n"
)
HEADER = """\
| epoch | train loss | train accuracy | valid loss | valid accuracy | test loss | test accuracy |
| --- | --- | --- | --- | --- | --- | --- |"""


def note(
    config: TrainConfig, dataset: str, train_digest: str, best: Epoch, last: Epoch, test: Metrics, test_last: Metrics
) -> str:
    """Results, where the figures are, and the command that repeats the run.

    Args:
        config: the settings.
        dataset: ``kmnist`` or ``sample``.
        train_digest: SHA-256 of the training images.
        best: the epoch whose weights were kept.
        last: the last epoch.
        test: of the best epoch's weights.
        test_last: of the last epoch's weights.
    """
    rows = [("best", best, test), ("last", last, test_last)]
    table = "\n".join(
        f"| {name}, {epoch.number} | {epoch.train.loss:.4f} | {epoch.train.accuracy:.2%} | {epoch.valid.loss:.4f} "
        f"| {epoch.valid.accuracy:.2%} | {on_test.loss:.4f} | **{on_test.accuracy:.2%}** |"
        for name, epoch, on_test in rows
    )
    settings = {**config.changed(), "dataset": dataset}
    return f"""{SAMPLE_WARNING if dataset == "sample" else ""}{HEADER}
{table}

The best epoch was chosen by `{config.select_by}`; the test split was evaluated once, after the last epoch.

**Artifacts.** `figures/`: `learning_curves`, `confusion_matrix`, `misclassified`, `samples`, `class_distribution`.
`reports/`: `classification_report`, `per_class`, `confusions`, `predictions`. The model takes raw pixels 0..255 of
shape (N, 28, 28) and gives log-probabilities (N, 10).

**Repeat it** at the commit in the tag `git.commit`; training images SHA-256 `{train_digest[:16]}…`:

    kmnist train {as_flags(settings)}
"""
