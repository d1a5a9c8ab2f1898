"""The original report's recommendations for future work: which runs followed them, and what each gave."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from kmnist import record
from kmnist.config import TrainConfig
from kmnist.report.blocks import Paragraph, Section, Table
from kmnist.report.source import Report, Source

AUGMENTING = ("rotation", "scaling", "shear", "translation", "flip", "elastic", "noise", "cutout", "mixup", "cutmix")


@dataclass(frozen=True)
class Recommendation:
    """One of them.

    Attributes:
        title: as it stands there.
        settings: that follow it.
        followed: whether a run does.
    """

    title: str
    settings: tuple[str, ...]
    followed: Callable[[TrainConfig], bool]


def _differs(*names: str) -> Callable[[TrainConfig], bool]:
    return lambda config: any(name in config.changed() for name in names)


RECOMMENDATIONS = (
    Recommendation("data augmentation", ("augment", *AUGMENTING), _differs("augment", *AUGMENTING)),
    Recommendation("transfer learning", ("init_from", "freeze", "kept_rate"), _differs("init_from")),
    Recommendation("normalisation", ("normalise",), lambda config: config.normalise != "unit"),
    Recommendation("convolutional architectures", ("arch",), lambda config: config.arch not in ("plain", "dropout")),
    Recommendation(
        "regularisation",
        ("dropout", "batch_norm", "weight_decay", "label_smoothing"),
        lambda config: (
            _differs("weight_decay", "label_smoothing", "batch_norm")(config)
            or float(config.as_text().get("dropout", 0)) > 0
        ),
    ),
    Recommendation("optimizers", ("optimizer",), _differs("optimizer")),
    Recommendation("schedules of the learning rate", ("schedule", "warmup"), _differs("schedule", "warmup")),
    Recommendation("an average of the weights", ("ema",), _differs("ema")),
)


def recommendations(report: Report) -> Section | None:
    """What each gave is told only by runs that differ in it alone: everything else is not its doing."""
    runs = [source for source in report.ours if source.is_tested and source.run.config]
    if len(runs) < 2:
        return None
    rows, numbers = [], {}
    for one in RECOMMENDATIONS:
        followed = [source for source in runs if source.run.config and one.followed(source.run.config)]
        if not followed:
            rows.append([one.title, "none", "–"])
            continue
        gains = _gains(one, runs)
        letters = "all" if len(followed) == len(runs) else ", ".join(source.letter for source in followed)
        gave = f"{mean(gains):+.2f} points over {len(gains)} {'pair' if len(gains) == 1 else 'pairs'}" if gains else "–"
        rows.append([one.title, letters, gave])
        numbers[one.title] = {"runs": [source.letter for source in followed], "gains": gains}
    if report.study is not None:
        rows.append(["tuning of hyperparameters", "the study", "see there"])
    text = (
        "What a recommendation gave is the difference in test accuracy between runs that differ in its settings "
        "alone; a dash "
        "means that no two runs here do, or that none followed it."
    )
    return Section(
        "Recommendations tried",
        [Paragraph(text), Table("Followed by which runs.", ["recommendation", "runs", "gave"], rows)],
        numbers,
    )


def _gains(one: Recommendation, runs: list[Source]) -> list[float]:
    """In points, of each two runs that differ in these settings alone, one of which follows it."""
    apart: dict[tuple[object, ...], list[Source]] = {}
    for source in runs:
        assert source.run.config is not None
        rest = tuple(pair for pair in source.run.config.as_text().items() if pair[0] not in one.settings)
        apart.setdefault((source.run.digests.get(record.TEST), *rest), []).append(source)
    gains = []
    for of in apart.values():
        by = {True: [source for source in of if source.run.config and one.followed(source.run.config)]}
        by[False] = [source for source in of if source not in by[True]]
        gains += [
            100 * ((yes.test("accuracy") or 0) - (no.test("accuracy") or 0)) for yes in by[True] for no in by[False]
        ]
    return gains
