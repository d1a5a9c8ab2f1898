"""Ensembles: their members, what they gain over the best of these, and how much the members differ."""

import pandas as pd

from kmnist import record
from kmnist.report.blocks import Block, Heading, Paragraph, Section, Table, literal
from kmnist.report.source import MEMBERS, Report, Source

COLUMNS = {"run_id", "arch", "seed", "weight", "valid_accuracy", "test_accuracy", "differs"}


def ensemble(report: Report) -> Section | None:
    """From the table of members that each has left in its run."""
    found = [source for source in report.sources if source.run.is_ensemble]
    if not found:
        return None
    blocks: list[Block] = []
    for source in found:
        blocks.append(Heading(f"{source.letter}: {literal(source.run.tags.get(record.WHAT) or source.run.name)}"))
        members = source.table(MEMBERS)
        if members is None or not set(members) >= COLUMNS:
            blocks.append(Paragraph(f"The ensemble {source.name} has left no table of its members."))
            continue
        blocks += [Paragraph(_sentences(source, members)), _table(source, members, report)]
    numbers = {
        source.letter: {
            name: source.run.metrics[name] for name in (record.GAIN, record.DIVERSITY) if name in source.run.metrics
        }
        for source in found
    }
    return Section("Ensembles", blocks, numbers)


def _sentences(source: Source, members: pd.DataFrame) -> str:
    valid, gain = source.run.value(record.VALID, "accuracy"), source.run.metrics.get(record.GAIN)
    if valid is None or gain is None:
        return "What it gains over its members has not been measured."
    best = members["valid_accuracy"].max()
    told = (
        f"On images that no member was trained on, it recognises **{valid:.2%}**, the best of {len(members)} members "
    )
    told += f"{best:.2%}: {100 * gain:+.2f} points."
    diversity = source.run.metrics.get(record.DIVERSITY)
    if diversity is not None and len(members) > 1:
        told += (
            f" Two members differ on {diversity:.2%} of these images in the mean: where they agree, nothing is gained."
        )
    order = members.sort_values(["valid_accuracy", "member"], ascending=[False, True], kind="stable")
    tested, accuracy = order["test_accuracy"].iloc[0], source.test("accuracy")
    if accuracy is not None and pd.notna(tested):
        told += f" On the test images that member has {tested:.2%}, the ensemble {accuracy:.2%}."
    return told


def _table(source: Source, members: pd.DataFrame, report: Report) -> Table:
    letters = {of.run.run_id: of.letter for of in report.sources}
    rows = [
        [
            letters.get(str(row["run_id"]), f"`{literal(str(row['run_id'])[:12])}`"),
            literal(f"{row['arch']}, seed {row['seed']}"),
            "–" if pd.isna(row["weight"]) else f"{row['weight']:.3g}",
            *("–" if pd.isna(row[of]) else f"{row[of]:.2%}" for of in ("valid_accuracy", "test_accuracy", "differs")),
        ]
        for _, row in members.iterrows()
    ]
    header = ["run", "member", "weight", "valid accuracy", "test accuracy", "differs from the others"]
    return Table(f"The members of {source.letter}.", header, rows)
