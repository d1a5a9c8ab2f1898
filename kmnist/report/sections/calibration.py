"""Whether the probabilities can be believed, and the temperature that would mend them."""

from kmnist.figures.runs import reliability
from kmnist.figures.style import SERIES, render
from kmnist.report.blocks import Figure, Paragraph, Section, Table
from kmnist.report.source import Report
from kmnist.report.statistics import Calibration

NOTED = 0.01  # a calibration error worth a word


def calibration(report: Report) -> Section | None:
    """On the test images, by the probabilities that the runs have stored."""
    runs = [source for source in report.tested if source.predictions is not None][: len(SERIES)]
    if not runs:
        return None
    found = {
        source: Calibration.of(source.predictions.probabilities, source.predictions.actual)
        for source in runs
        if source.predictions
    }
    rows, texts = [], []
    for source, at in found.items():
        rows.append(
            [
                source.brief,
                f"{at.confidence:.2%}",
                f"{at.accuracy:.2%}",
                f"{at.error:.2%}",
                f"{at.temperature:.2f}",
                f"{at.mended:.2%}",
            ]
        )
        too = "too sure" if at.confidence > at.accuracy else "not sure enough"
        if at.error < NOTED:
            text = f"{source.brief} can be believed: confidence and accuracy differ by {at.error:.2%} on average."
        else:
            text = f"{source.brief} is **{too}** of itself: its confidence is {at.confidence:.1%} on average, its "
            text += (
                f"accuracy {at.accuracy:.1%}. Log-probabilities divided by {at.temperature:.2f} would mend that to an "
            )
            text += f"error of {at.mended:.2%} (fitted on every other test image, measured on the rest)."
        texts.append(Paragraph(text))
    header = ["run", "mean confidence", "accuracy", "calibration error", "temperature", "error with it"]
    told = "; ".join(f"{source.letter} {at.error:.2%}" for source, at in found.items())
    figure = Figure(
        "reliability",
        "Share of right answers over confidence, in 15 bins. Below the line: surer than right. Hollow: fewer "
        "than 20 images.",
        f"Curves beside a diagonal. Expected calibration errors: {told}.",
        render(reliability, {source.letter: at.bins for source, at in found.items()}),
    )
    table = Table("Confidence and accuracy on the test images.", header, rows)
    numbers = {
        source.letter: {"error": at.error, "temperature": at.temperature, "mended": at.mended}
        for source, at in found.items()
    }
    return Section("Confidence and calibration", [*texts, figure, table], numbers)
