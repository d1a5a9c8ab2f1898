"""A model evaluated after its training, on any labelled images, as a run of its own."""

from kmnist import record
from kmnist.data import DataSpec, Images
from kmnist.experiment.answered import Answered
from kmnist.experiment.checkpointer import split_metrics
from kmnist.experiment.ensemble import shifted
from kmnist.experiment.run import Run
from kmnist.metrics import Metrics
from kmnist.network import SavedNetwork
from kmnist.text import markdown_table
from kmnist.training.evaluate import evaluate

STEP = 1  # the only one


def evaluate_saved(
    saved: SavedNetwork, images: Images, spec: DataSpec, split: str, source: str, run: Run, tta: int = 0
) -> Metrics:
    """Measure a network on labelled images, and write everything down; the names of its metrics begin ``evaluation/``.

    Args:
        saved: the network.
        images: of the shape and with the classes that it was trained on.
        spec: of the images.
        split: which of its splits they are.
        source: where they came from.
        run: where to write to.
        tta: by up to how many pixels images are shifted, to be answered for again.
    """
    run.log_data(split, images, spec, source)
    found, log_probabilities = evaluate(shifted(saved.network, tta), images)
    run.log_params({"tta": str(tta)})
    title = f"{spec.title}, {split}{f', shifted by up to {tta} pixels' if tta else ''}"
    answered = Answered(title, images, saved.spec, log_probabilities.numpy(), saved.calibration)
    sureness = answered.sureness(record.EVALUATION)
    run.log_metrics(split_metrics(record.EVALUATION, found) | sureness, STEP)
    cells = [f"{len(images):,}", f"**{found.accuracy:.2%}**", f"{found.loss:.4f}"]
    cells += [f"{value:.2%}" for value in sureness.values()]
    header = ["images", "accuracy", "loss", "unsure", "accuracy if sure"]
    run.log_note(f"{title} ({source}).\n\n{markdown_table(header[: len(cells)], [cells])}")
    answered.log(run)
    return found
