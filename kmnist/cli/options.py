"""The options that commands share, read from where they are defined."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Group, Parameter
from pydantic import BaseModel, create_model

from kmnist.config import TrainConfig
from kmnist.errors import SettingError
from kmnist.settings import to_text

DataDir = Annotated[Path, Parameter(env_var="KMNIST_DATA_DIR")]
WorkDir = Annotated[Path, Parameter(env_var="KMNIST_WORK_DIR")]
TrackingUri = Annotated[str | None, Parameter(env_var="MLFLOW_TRACKING_URI", show_default=False)]


def _settings_model() -> type[BaseModel]:
    """``TrainConfig`` with every setting optional and as text: what is not given comes from a file or the defaults."""
    fields: dict[str, Any] = {}
    for name, field in TrainConfig.model_fields.items():
        shown = Parameter(help=f"{field.description} [default: {to_text(field.default)}]", show_default=False)
        fields[name] = (Annotated[str | None, shown], None)
    return create_model("Settings", **fields)


Settings = Parameter(
    name="*", group=Group("Settings", help="What decides the numbers; each is a parameter of the run in MLflow.")
)(_settings_model())


def given_settings(settings: BaseModel | None, file: Path | None) -> dict[str, str]:
    """The settings that the user gave: those of a YAML file, and over them those of the command line.

    Raises:
        SettingError: the file cannot be read or is not a mapping of settings.
    """
    typed = {name: getattr(settings, name) for name in settings.model_fields_set} if settings else {}
    if file is None:
        return typed
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise SettingError(f"{file}: must hold lines of the form `setting: value`, like experiments/report_plain.yaml")
    return {**{str(name): value for name, value in content.items()}, **typed}
