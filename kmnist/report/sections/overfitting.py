"""The best epoch, what later training cost, and by how much the training images are known better than others."""

from kmnist import record
from kmnist.report.blocks import Paragraph, Section, Table
from kmnist.report.source import Report, Source
from kmnist.report.statistics import signed

LITTLE = 0.005  # nats: a rise that is not worth a word


def overfitting(report: Report) -> Section | None:
    """Told by validation where there is one, else by the test split as it was observed."""
    runs = [source for source in report.ours if _judged(source)]
    if not runs:
        return None
    rows, texts, numbers = [], [], {}
    for source in runs:
        split, loss, accuracy = _judged(source) or ("", {}, {})
        turned = min(loss, key=lambda epoch: (loss[epoch], epoch))
        best = max(accuracy, key=lambda epoch: (accuracy[epoch], -epoch))
        last = max(loss)
        learnt = source.curve(record.TRAIN, "loss")
        learnt_accuracy = source.curve(record.TRAIN, "accuracy")
        rise, fall = loss[last] - loss[turned], accuracy[best] - accuracy[last]
        gap, gap_accuracy = loss[last] - learnt[last], learnt_accuracy[last] - accuracy[last]
        rows.append(
            [
                source.brief,
                split,
                f"{turned}",
                f"{loss[turned]:.4f}",
                f"{best}",
                f"{accuracy[best]:.2%}",
                f"{last}",
                signed(rise, 4),
                signed(-100 * fall, 2),
                signed(gap, 3),
                signed(100 * gap_accuracy, 2),
            ]
        )
        texts.append(Paragraph(_words(source, split, turned, last, rise, best, fall, gap_accuracy)))
        numbers[source.letter] = {
            "turned": turned,
            "best_epoch_by_accuracy": best,
            "loss_rise": rise,
            "accuracy_fall": fall,
            "gap_loss": gap,
            "gap_accuracy": gap_accuracy,
        }
    header = [
        "run",
        "by",
        "loss lowest at",
        "lowest loss",
        "accuracy best at",
        "best accuracy",
        "last epoch",
        "loss since, nats",
        "accuracy since, points",
        "gap in loss",
        "gap in accuracy, points",
    ]
    table = Table("Best and last epoch, and the gap to the training images at the last.", header, rows)
    return Section("Best epoch and overfitting", [*texts, table], numbers)


def _judged(source: Source) -> tuple[str, dict[int, float], dict[int, float]] | None:
    """What a run can be judged by: the name of the split, its losses and its accuracies by epoch."""
    for split, names in ((record.VALID, ("loss", "accuracy")), (record.OBSERVED, ("test_loss", "test_accuracy"))):
        loss, accuracy = (dict(source.curve(split, name)) for name in names)
        if loss and accuracy.keys() == loss.keys() and loss.keys() <= source.curve(record.TRAIN, "loss").keys():
            return ("validation" if split == record.VALID else "observed test"), loss, accuracy
    return None


def _words(
    source: Source, split: str, turned: int, last: int, rise: float, best: int, fall: float, gap_accuracy: float
) -> str:
    if turned == last:
        text = f"{source.brief}: the {split} loss was still at its lowest in the last epoch, {last}; it had not turned"
    elif rise < LITTLE:
        text = f"{source.brief}: the {split} loss was lowest in epoch {turned} and stayed there until epoch {last}"
    else:
        text = f"{source.brief}: the {split} loss **turned in epoch {turned}** and rose by {rise:.3g} nats "
        text += f"until epoch {last}"
    if last == best:
        text += ", where the accuracy was best."
    else:
        cost = f"cost {100 * fall:.2f} points" if fall > 0.0005 else "cost next to nothing"
        text += f"; accuracy was best in epoch {best}, and what was trained after that {cost}."
    if rise >= 4 * LITTLE and fall <= 0.003:
        text += (
            " It grows surer of its errors, rather than making more of them: the loss punishes that, accuracy does not."
        )
    if gap_accuracy > 0.02:
        text += f" It knows the training images by {100 * gap_accuracy:.1f} points better than others: **it overfits.**"
    elif gap_accuracy < -0.005:
        text += (
            f" It does better on others than on the training images by {-100 * gap_accuracy:.1f} points, for "
            f"those are made "
            "harder (dropout, augmentation) or met earlier in the epoch."
        )
    return text
