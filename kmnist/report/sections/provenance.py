"""Where the numbers are from, and how to have them again."""

from textwrap import wrap

from kmnist.report.blocks import Block, Code, Paragraph, Section, Table, literal
from kmnist.report.source import Report, Source
from kmnist.settings import as_flags


def provenance(report: Report) -> Section:
    """Commit, versions, images and the command of each run."""
    rows = [
        [source.name, f"`{source.run.run_id}`", source.started, _took(source), _commit(source)]
        for source in report.sources
    ]
    blocks: list[Block] = [
        Table(
            "When they were trained, and with which code.", ["run", "id in MLflow", "started", "took", "commit"], rows
        )
    ]
    for what, of in (("With", _versions), ("Computed on", _computed)):
        texts: dict[str, list[str]] = {}
        for source in report.sources:
            texts.setdefault(of(source), []).append(source.letter)
        told = (f"{text} ({', '.join(letters)})" if len(texts) > 1 else text for text, letters in texts.items())
        blocks.append(Paragraph(f"{what} {'; '.join(told)}."))
    if images := [source for source in report.sources if source.run.digests]:
        splits = ("train", "valid", "test")
        rows = [
            [source.name, literal(source.run.dataset), *(_digest(source, split) for split in splits)]
            for source in images
        ]
        blocks.append(
            Table("Images: SHA-256 over pixels and labels, the first digits.", ["run", "data set", *splits], rows)
        )
    blocks.append(Paragraph("To train one again, at its commit:"))
    blocks += [Code(f"run {source.letter}", _command(source)) for source in report.ours]
    numbers = {
        source.letter: {"digests": dict(source.run.digests), "tags": _facts(source)} for source in report.sources
    }
    return Section("Provenance", blocks, numbers)


def _command(source: Source) -> str:
    """On lines that need not be broken elsewhere."""
    config = source.run.config
    assert config is not None  # it is ours
    settings = {**config.changed(), "dataset": source.run.dataset if config.dataset == "auto" else config.dataset}
    lines = wrap(f"kmnist train {as_flags(settings)}", 88, break_on_hyphens=False, break_long_words=False)
    return " \\\n    ".join(lines)


def _versions(source: Source) -> str:
    tags = source.run.tags
    named = ("kmnist", "torch", "mlflow", "numpy", "python")
    found = ", ".join(f"{name} {tags[f'version.{name}']}" for name in named if f"version.{name}" in tags)
    return literal(found) or "versions that are not known"


def _computed(source: Source) -> str:
    tags = source.run.tags
    found = ", ".join(tags[name] for name in ("device", "precision", "processor") if name in tags)
    return literal(found + (f", threads {tags['threads']}" if "threads" in tags else "")) or "what is not known"


def _took(source: Source) -> str:
    if source.ended_ms is None:
        return "–"
    minutes, seconds = divmod((source.ended_ms - source.started_ms) // 1000, 60)
    return f"{minutes} min {seconds} s"


def _commit(source: Source) -> str:
    tags = source.run.tags
    commit = tags.get("git.commit") or tags.get("mlflow.source.git.commit")
    if not commit:
        return "not known"
    changed = {"true": ", changed since", "false": ""}.get(tags.get("git.dirty", ""), ", changed or not is not known")
    return f"`{literal(commit[:10])}`{changed}"


def _digest(source: Source, split: str) -> str:
    found = source.run.digests.get(split)
    return f"`{literal(found[:12])}`" if found else "–"


def _facts(source: Source) -> dict[str, str]:
    wanted = ("version.", "git.", "device", "precision", "processor", "threads", "dataset", "data.official")
    return {name: text for name, text in sorted(source.run.tags.items()) if name.startswith(wanted)}
