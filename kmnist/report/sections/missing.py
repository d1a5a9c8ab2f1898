"""What this report could not say, and why."""

from kmnist.report.blocks import Paragraph, Section, Table, literal
from kmnist.report.source import Report


def missing(report: Report) -> Section | None:
    """Named, so that nobody takes silence for a result."""
    found: dict[str, list[str]] = {}
    for source in report.sources:
        for text in source.missing:
            found.setdefault(text, []).append(source.letter)
    rows = [[", ".join(of), literal(text, 300)] for text, of in found.items()]
    blocks = [Paragraph(note) for note in report.notes]
    if not rows and not blocks:
        return None
    tables = [Table("Run by run.", ["runs", "what is missing"], rows)] if rows else []
    return Section("What is missing", [*blocks, *tables], {source.letter: source.missing for source in report.sources})
