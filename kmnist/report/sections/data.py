"""The images that were learnt from."""

from kmnist.data import Dataset
from kmnist.figures import class_distribution, samples
from kmnist.figures.means import mean_images
from kmnist.figures.style import render
from kmnist.report.blocks import Block, Figure, Heading, Paragraph, Section, literal
from kmnist.report.source import Report


def data(report: Report) -> Section | None:
    """Samples, distribution and mean image of each class, for each data set that could be read here."""
    names = list(dict.fromkeys(source.run.dataset for source in report.ours if source.run.dataset))
    if not names:
        return None
    blocks: list[Block] = []
    for name in names:
        found = report.datasets.get(name)
        if found is None:
            blocks.append(
                Paragraph(f"The images of {literal(name)} are not here: name their folder with `--data-dir`.")
            )
        else:
            blocks += [Heading(literal(found.spec.title))] if len(names) > 1 else []
            blocks += _pictures(found)
    shown = {name: report.datasets[name] for name in names if name in report.datasets}
    numbers = {
        name: {"train": len(of.train), "test": len(of.test), "digests": dict(of.spec.digests)}
        for name, of in shown.items()
    }
    return Section("Data", blocks, numbers)


def _pictures(of: Dataset) -> list[Block]:
    spec, height, width = of.spec, *of.spec.shape
    classes = ", ".join(spec.words(number) for number in range(min(len(spec.classes), 12)))
    more = f" and {len(spec.classes) - 12} more" if len(spec.classes) > 12 else ""
    official = "as they were published, by their digest" if spec.official else "not an official data set"
    text = (
        f"{literal(spec.title)}: {len(of.train):,} images to learn from and {len(of.test):,} to be tested by, of "
        f"{height} × {width} pixels, in {len(spec.classes)} classes ({literal(classes, 400)}{more}); {official}."
    )
    pixels, labels = of.train.pixels, of.train.labels
    counts = ", ".join(f"{label.text} {int((labels == number).sum()):,}" for number, label in enumerate(spec.classes))
    return [
        Paragraph(text),
        Figure(
            f"samples_{spec.name}",
            "The first training images of each class. One character has many forms: the books write it in "
            "several ways.",
            f"A grid with a row of handwritten characters for each class: {classes}{more}.",
            render(samples, pixels, labels, spec),
            photographic=True,
        ),
        Figure(
            f"distribution_{spec.name}",
            "Images of each class.",
            f"Bars for each class. Training images: {counts}.",
            render(class_distribution, {"train": labels, "test": of.test.labels}, spec),
        ),
        Figure(
            f"means_{spec.name}",
            "The mean of each class's training images: sharp where its members agree, grey where they do not.",
            f"One blurred character for each class: {classes}{more}.",
            render(mean_images, pixels, labels, spec),
            photographic=True,
        ),
    ]
