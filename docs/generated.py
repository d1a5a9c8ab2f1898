"""The reference pages that are written from the code, so that they cannot be out of date."""

import re
import types
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args, get_origin

from PIL import Image
from pydantic.fields import FieldInfo

import kmnist
from kmnist import errors, record
from kmnist.cli.main import app
from kmnist.config import TrainConfig
from kmnist.data import DataSpec, Images
from kmnist.data.sample import draw_dataset
from kmnist.experiment import NullRun, prepare, train
from kmnist.models.families import FAMILIES, NetSettings
from kmnist.models.transfer_settings import TransferSettings
from kmnist.network import SavedNetwork
from kmnist.settings import Choice, Searched, to_text
from kmnist.training.augmentation.settings import AugmentSettings
from kmnist.training.settings import FitSettings
from kmnist.tuning.definition import Budget, Method

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}  # of the rules that pydantic keeps with a field


def write_reference(folder: Path) -> None:
    """Write ``commands.md``, ``settings.md``, ``record.md`` and ``public.md``."""
    pages = {"commands": commands(), "settings": settings(), "record": vocabulary(), "public": public()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:  # a file that stays the same is not read again
            path.write_text(text)


def commands() -> str:
    """Every command with its options, as its own help has them."""
    text = app.generate_docs()
    pages = text[text.index("## kmnist train") :]
    return f"# Commands\n\n`kmnist COMMAND --help` shows the same.\n\n{app.help_epilogue}\n\n{pages}\n"


def settings() -> str:
    """Every setting with its default, what it may be, and where a study searches it."""
    own = {name: field for name, field in TrainConfig.fields().items() if name in TrainConfig.__annotations__}
    parts = [
        "# Settings",
        "On the command line `--learning-rate 1e-3`, in files and in MLflow `learning_rate`. Each is a parameter of "
        "the run. *Searched* is the range that a study takes where it is given none; in brackets: only where its file "
        "names the setting under `search`.",
        "## Training",
        _settings_table(FitSettings.model_fields),
        "## Data, and which weights are kept",
        _settings_table(own),
        "## Augmentation",
        _settings_table(AugmentSettings.model_fields),
        "## Weights from elsewhere",
        _settings_table(TransferSettings.model_fields),
        "## Architectures",
        _settings_table(NetSettings.model_fields),
    ]
    by_settings: dict[type[NetSettings], list[str]] = {}
    for arch, family in FAMILIES.items():
        by_settings.setdefault(family.settings, []).append(arch)
    for kind, archs in by_settings.items():
        fields = {name: field for name, field in kind.model_fields.items() if name not in NetSettings.model_fields}
        parts += [f"### {', '.join(archs)}", _settings_table(fields)]
    parts += ["## How a study searches", _settings_table(Method.model_fields)]
    parts += ["## How long a study goes on", _settings_table(Budget.model_fields)]
    return "\n\n".join(parts) + "\n"


def public() -> str:
    """The public names of the package, and the tree of its errors; a part of ``python.md``."""
    names = "\n".join(f".. autofunction:: kmnist.{name}" for name in kmnist.__all__)
    tree = errors.__doc__ or ""
    return f"```{{eval-rst}}\n{names}\n```\n\n## Errors\n\n```text\n{tree}```\n"


def _settings_table(fields: Mapping[str, FieldInfo]) -> str:
    rows = [
        (f"`{name}`", f"`{to_text(field.default)}`", _allowed(field), _searched(field), field.description or "")
        for name, field in fields.items()
    ]
    return _table(("setting", "default", "may be", "searched", "what it is"), rows)


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    for mark in field.metadata:
        if isinstance(mark, Choice):
            return ", ".join(f"`{choice}`" for choice in mark.registry)
    rules = [
        f"{sign} {getattr(mark, rule)}"
        for mark in field.metadata
        for rule, sign in SIGNS.items()
        if hasattr(mark, rule)
    ]
    return " ".join([_in_words(kind), ", ".join(rules)]).strip()


def _in_words(kind: Any) -> str:
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is tuple:
        return "whole numbers, comma-separated"
    if isinstance(kind, types.UnionType) or get_args(kind):
        return " or ".join(_in_words(part) for part in get_args(kind) if part is not type(None)) or "text"
    return f"`{kind}`" if isinstance(kind, str) else "text"


def _searched(field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, Searched):
            return str(mark.over) if mark.unasked else f"({mark.over})"
    return ""


class _Names(NullRun):
    """A run that keeps what it is told the names of."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, int]] = []
        self.tags: dict[str, str] = {}
        self.files: list[str] = []
        self.series: set[str] = set()
        self.inputs: list[str] = []

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self.tags.update(tags)

    def log_data(self, split: str, images: Images, spec: DataSpec, source: str) -> None:
        self.inputs.append(split)

    def log_metrics(self, metrics: Mapping[str, float], step: int, timestamp_ms: int | None = None) -> None:
        self.metrics += [(name, step) for name in metrics]

    def log_file(self, content: bytes, path: str) -> None:
        self.files.append(path)

    def log_image(self, image: Image.Image, key: str, step: int, timestamp_ms: int) -> None:
        self.series.add(key)

    def log_model(self, saved: SavedNetwork, step: int, metrics: Mapping[str, float], timestamp_ms: int) -> None:
        self.files.append("model (a logged model of MLflow's)")


def vocabulary() -> str:
    """What a run holds: found by training one of three epochs, and, for the names, read from ``record``."""
    run = _Names()
    config = TrainConfig.parse({"hidden": "16", "epochs": 3, "precision": "fp32", "batch_size": 64})
    data = draw_dataset(train=600, test=200)
    with TemporaryDirectory() as folder:
        train(config, prepare(config, data), data.test, run, Path(folder), threads=1)
    logged = Counter(name for name, _ in run.metrics)
    by_epoch = sorted(name for name, times in logged.items() if times > 1)
    at_end = sorted(name for name, times in logged.items() if times == 1)
    parts = [
        "# What a run holds, by name",
        "These lists are written by training for three epochs and noting what the run was told. A run in MLflow also "
        "holds the machine's load (`system/...`), tags about the environment, and its note; its parameters are the "
        "[settings](settings.md).",
        "## Metrics by epoch",
        _list(by_epoch),
        "## Metrics at the end",
        _list(at_end),
        "## Inputs",
        _list(run.inputs),
        "## Artifacts",
        _list(sorted(set(run.files))),
        "Images with a slider over the epochs: " + ", ".join(f"`{name}`" for name in sorted(run.series)) + ".",
        "## Tags of a training",
        _list(sorted(run.tags)),
        "## All names",
        "Nobody but `kmnist/record.py` spells them; a program imports them from there.",
        _table(("name in `kmnist.record`", "text"), _constants()),
    ]
    return "\n\n".join(parts) + "\n"


def _constants() -> list[tuple[str, str]]:
    found = [(name, value) for name, value in vars(record).items() if re.fullmatch(r"[A-Z_]+", name)]
    return [(f"`{name}`", f"`{value}`") for name, value in found if isinstance(value, str)]


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) + "."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
