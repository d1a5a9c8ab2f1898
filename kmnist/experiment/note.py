"""The note of a run: what a person reads first when they open it in MLflow. Markdown."""

from kmnist.config import LAST, TrainConfig
from kmnist.data import DataSpec
from kmnist.metrics import Metrics
from kmnist.settings import as_flags
from kmnist.text import markdown_table
from kmnist.training.fit import Epoch

SAMPLE_WARNING = (
    "> **Trained on the drawn sample set, not on Kuzushiji-MNIST.** Its numbers say nothing about KMNIST, "
    "and this model cannot be registered.\n\n"
)


def sample_warning(dataset: str) -> str:
    """What the note of a run on the drawn sample begins with; nothing for other data sets."""
    return SAMPLE_WARNING if dataset == "sample" else ""


HEADER = ("epoch", "train loss", "train accuracy", "valid loss", "valid accuracy", "test loss", "test accuracy")


def note(
    config: TrainConfig, spec: DataSpec, train_digest: str, best: Epoch, last: Epoch, test: Metrics, test_last: Metrics
) -> str:
    """Results, where the figures are, and the command that repeats the run.

    Args:
        config: the settings.
        spec: of the data set.
        train_digest: SHA-256 of the training images.
        best: the epoch whose weights were kept.
        last: the last epoch.
        test: of the best epoch's weights.
        test_last: of the last epoch's weights.
    """
    rows = [("best", best, test), ("last", last, test_last)]
    chosen = f"The best epoch was chosen by `{config.select_by}`"
    if config.select_by == LAST:
        rows, chosen = rows[1:], "The weights of the last epoch were kept, nothing was chosen"
    if not config.valid_fraction:
        chosen += ", and all training images were learnt from: none was kept for validation"
    table = markdown_table(HEADER, [_row(*row) for row in rows])
    settings = {**config.changed(), "dataset": spec.name if config.dataset == "auto" else config.dataset}
    height, width = spec.shape
    return f"""{sample_warning(spec.name)}{table}

{chosen}; the test split was evaluated once, after the last epoch.

**Artifacts.** `figures/`: `learning_curves`, `confusion_matrix`, `misclassified`, `samples`, `class_distribution`.
`reports/`: `classification_report`, `per_class`, `confusions`, `predictions`. The model takes raw pixels 0..255 of
shape (N, {height}, {width}) and gives log-probabilities (N, {len(spec.classes)}).

**Repeat it** at the commit in the tag `git.commit`; training images SHA-256 `{train_digest[:16]}…`:

    kmnist train {as_flags(settings)}
"""


def _row(name: str, epoch: Epoch, test: Metrics) -> list[str]:
    loss, accuracy = _cells(test)
    return [f"{name}, {epoch.number}", *_cells(epoch.train), *_cells(epoch.valid), loss, f"**{accuracy}**"]


def _cells(part: Metrics | None) -> tuple[str, str]:
    return (f"{part.loss:.4f}", f"{part.accuracy:.2%}") if part else ("none", "none")
