"""The options that commands share, read from where they are defined."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import yaml
from cyclopts import Group, Parameter, validators
from cyclopts.help import DefaultFormatter
from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from kmnist.config import TrainConfig
from kmnist.errors import CheckpointError, SettingError
from kmnist.models.families import DEFAULT_ARCH, FAMILIES, NetSettings
from kmnist.record import SHORTEST_ID
from kmnist.settings import describe, shorten, to_text
from kmnist.settings.choice import Choice
from kmnist.tuning.definition import Budget, Method

MOST_CHARACTERS = 100_000  # of a file of settings


def _can_be_looked_at(kind: Any, folder: Path) -> None:
    """Whether it is there or not; what cannot even be asked for would be an error in the middle of the work."""
    try:
        folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error)) from error


DataDir = Annotated[
    Path,
    Parameter(
        env_var="KMNIST_DATA_DIR",
        validator=_can_be_looked_at,
        help="folder of the data set's files, or where to download them to",
    ),
]
WorkDir = Annotated[
    Path,
    Parameter(
        env_var="KMNIST_WORK_DIR",
        validator=_can_be_looked_at,
        help="folder for checkpoints and for what the tracking server has not taken yet",
    ),
]
Storage = Annotated[
    str,
    Parameter(
        metavar="FILE|URL",
        env_var="KMNIST_STORAGE",
        help="file of studies, or postgresql://user@host/database, which any number of machines can share",
    ),
]
TrackingUri = Annotated[
    str | None,
    Parameter(
        metavar="URL",
        env_var="MLFLOW_TRACKING_URI",
        show_default=False,
        help="MLflow server or database [default: sqlite:///mlflow.db]",
    ),
]
ExperimentName = Annotated[
    str,
    Parameter(
        metavar="NAME",
        env_var="MLFLOW_EXPERIMENT_NAME",
        help="MLflow experiment that new runs belong to; under `mlflow run`, that of its run",
    ),
]
ModelUri = Annotated[
    str,
    Parameter(
        metavar="MODEL",
        env_var="KMNIST_MODEL",
        help="models:/NAME@ALIAS, models:/NAME/VERSION, runs:/RUN_ID/model, or the path of a saved model or checkpoint",
    ),
]
UnsureBelow = Annotated[
    float | None,
    Parameter(
        validator=validators.Number(gte=0, lte=1),
        show_default=False,
        help="the probability below which an answer is unsure [default: measured on validation, kept in the model]",
    ),
]
Device = Annotated[str, Parameter(metavar="DEVICE", help="auto, cpu, cuda, cuda:1, ...")]
Threads = Annotated[
    int | None,
    Parameter(
        validator=validators.Number(gte=1),
        show_default=False,
        help="of the CPU to compute with [default: as many as trial steps show to be fastest, up to OMP_NUM_THREADS]",
    ),
]
OneThread = Annotated[
    int, Parameter(name="--threads", validator=validators.Number(gte=1), help="of the CPU to compute with")
]
Form: TypeAlias = Literal["table", "json", "csv"]
Format = Annotated[Form, Parameter(help="for a person, or for programs")]
Quiet = Annotated[bool, Parameter(help="print the results only")]


def _as_options(fields: Mapping[str, tuple[FieldInfo, Group]], instead: Mapping[str, str] | None = None) -> Any:
    """A group of settings, each optional and as text: what is not given comes from a file or the defaults.

    ``instead`` of its default, the help of a setting says what happens if it is not given; nothing: it is left out.
    """
    options: dict[str, Any] = {}
    for name, (field, group) in fields.items():
        if not_given := (instead or {}).get(name, f"default: {to_text(field.default)}"):
            help = f"{describe(field)} [{not_given}]"
            shown = Parameter(help=help, metavar=_kind_of(field), show_default=False, group=group)
            options[name] = (Annotated[str | None, shown], None)
    return Parameter(name="*")(create_model("Given", **options))


def _kind_of(field: FieldInfo) -> str:
    """What its text is: INT, FLOAT, one of few names, or a list of them."""
    if any(isinstance(mark, Choice) for mark in field.metadata) or get_origin(field.annotation) is Literal:
        return "NAME"
    many = ",..." if get_origin(field.annotation) is tuple else ""
    parts = (field.annotation, *get_args(field.annotation))
    return next((name for kind, name in ((float, "FLOAT"), (int, "INT")) if kind in parts), "TEXT") + many


def _in_group(fields: Mapping[str, FieldInfo], name: str, help: str) -> dict[str, tuple[FieldInfo, Group]]:
    group = Group(name, help=help)
    return {name: (field, group) for name, field in fields.items()}


def _of_families() -> dict[str, tuple[FieldInfo, Group]]:
    """The settings that not all architectures have; the help shows those of the one that is named with it."""
    found: dict[str, tuple[FieldInfo, Group]] = {}
    for arch in FAMILIES:
        for name, field in FAMILIES[arch].settings.model_fields.items():
            if name not in NetSettings.model_fields and name not in found:
                archs = tuple(other for other in FAMILIES if name in FAMILIES[other].settings.model_fields)
                found[name] = (field, _group_of(archs))
    return found


@cache
def _group_of(archs: tuple[str, ...]) -> Group:
    return Group(f"Settings of arch={', '.join(archs)}", help_formatter=_only_for(archs))


def _searched() -> dict[str, str]:
    marks = {name: mark for arch in FAMILIES for name, mark in TrainConfig.searched(arch).items()}
    return {name: f"searched: {mark.over}" for name, mark in marks.items() if mark.unasked} | {"select_by": ""}


def _only_for(archs: Sequence[str]) -> Any:
    def formatter(console: Any, options: Any, panel: Any) -> None:
        if _arch_asked_for() in archs:
            DefaultFormatter()(console, options, panel)

    return formatter


def _arch_asked_for() -> str:
    """The architecture that a command line names beside ``--help``."""
    words = [word for argument in sys.argv[1:] for word in argument.split("=", 1)]
    named = [value for word, value in pairwise(words) if word == "--arch"]
    return named[-1] if named else DEFAULT_ARCH


TrainSettings = _as_options(
    _in_group(TrainConfig.fields(), "Settings", "What decides the numbers; each is a parameter of the run in MLflow.")
    | _of_families()
)
FixedSettings = _as_options(
    _in_group(
        TrainConfig.fields(),
        "Settings",
        "What is given is fixed in all trials; what is not has its default, or is searched.",
    )
    | _of_families(),
    _searched(),
)
MethodSettings = _as_options(
    _in_group(Method.model_fields, "Search", "How the study searches; the same for all its commands.")
)
BudgetSettings = _as_options(
    _in_group(
        Budget.model_fields,
        "Budget",
        "How long the study goes on, over all its commands, workers and machines.",
    )
)


def given_settings(settings: Sequence[BaseModel | None], file: Path | None) -> dict[str, Any]:
    """The settings that the user gave: those of a YAML file, and over them those of the command line.

    Raises:
        SettingError: the file cannot be read or is not a mapping of settings.
    """
    typed = {name: getattr(group, name) for group in settings if group for name in group.model_fields_set}
    if file is None:
        return typed
    try:
        with file.open(encoding="utf-8") as text:
            content = yaml.load(_checked(text.read(MOST_CHARACTERS + 1)), _PlainLoader)
    except Exception as error:  # PyYAML lets through what its text provokes: ValueError, AttributeError, RecursionError
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise SettingError(f"{shorten(file)} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise SettingError(f"{file}: must hold lines of the form `setting: value`, like experiments/report_plain.yaml")
    return {**{str(name): value for name, value in content.items()}, **typed}


class _PlainLoader(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for billions of values."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not read; write the value itself")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _checked(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has more than {MOST_CHARACTERS:,} characters; a file of settings has some hundred")
    return text


def require_writable(file: Path, option: str, suffixes: tuple[str, ...]) -> None:
    """Before the work whose result it is to hold.

    Raises:
        SettingError: its name ends in another way, or it cannot be written.
    """
    if file.suffix not in suffixes:
        raise SettingError(f"{option} {file}: must end in {' or '.join(suffixes)}")
    try:
        new = not os.path.lexists(file)
        file.open("ab").close()
        if new:
            file.unlink()
    except (OSError, ValueError) as error:
        raise SettingError(f"{option} {file}: cannot be written ({error}); name another file") from error


def run_folder(work_dir: Path, run_id: str) -> Path:
    """Where the checkpoint of a run is, by the run's id or the beginning of it.

    Raises:
        CheckpointError: it is not a run's id (a path, for example), or the ids of several runs begin so.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
        raise CheckpointError(
            f"--resume {shorten(run_id)}: must be the id of a run, letters and digits only; the runs that can be "
            f"resumed are the folders in {work_dir} (--work-dir)"
        )
    if (work_dir / run_id).exists() or len(run_id) < SHORTEST_ID:
        return work_dir / run_id
    there = sorted(path for path in work_dir.glob(f"{run_id}*") if path.is_dir())
    if len(there) > 1:
        names = ", ".join(path.name for path in there)
        raise CheckpointError(f"--resume {run_id}: several runs begin with it: {names}; type more of the id")
    return there[0] if there else work_dir / run_id


def require_writable_folder(folder: Path) -> None:
    """Before a run exists that would have to be ended for it.

    Raises:
        CheckpointError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CheckpointError(
            f"work folder {folder} cannot be written ({error}); name another with --work-dir"
        ) from error
